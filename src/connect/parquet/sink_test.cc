#include "connect/parquet/sink.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <set>
#include <thread>

#include "base/failpoint.h"
#include "connect/parquet/manifest.h"
#include "connect/parquet/path_template.h"
#include "connect/parquet/test_lake.h"

namespace penstock::parquet {
namespace {

using flow::Mode;

TEST_CASE("append adds a folder a run, and the checkpoint comes back") {
    Lake lake;
    CHECK(lake.run(lake.target("a/t"), rows(0, 1000)).rows_written == 1000);
    CHECK(lake.run(lake.target("a/t"), rows(1000, 10)).rows_written == 10);
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("a/t")) == "1010");
    CHECK(lake.one("SELECT sum(id)::BIGINT FROM " + lake.files("a/t")) == std::to_string(1010 * 1009 / 2));
    auto plan = lake.plan(lake.target("a/t"));
    REQUIRE(plan.checkpoint);
    CHECK(plan.checkpoint->cursor_to == "to 2");
    CHECK(plan.exists);
    CHECK(plan.decisions.empty());
    CHECK(lake.leftovers() == 0);
    CHECK(lake.one("SELECT count(*) FROM " + lake.bookkeeping("pipeline_metadata")) == "2");
    CHECK(lake.one("SELECT sum(rows_written)::BIGINT FROM " + lake.bookkeeping("pipeline_metadata")) == "1010");
    CHECK(lake.one("SELECT change || ' ' || decision FROM " + lake.bookkeeping("schema_registry")) ==
          "table_created applied");
}

TEST_CASE("rows read again at a cursor bound are recognised, as often as they were published") {
    Lake lake;
    auto target = lake.target("t");
    target.info.cursor = "at";
    lake.run(target, rows(0, 100));
    auto again = rows(90, 20);
    again.push_back(rows(95, 1)[0]);  // twice now: the second is new
    auto counts = lake.run(target, again);
    CHECK(counts.rows_read == 21);
    CHECK(counts.rows_filtered == 10);
    CHECK(counts.rows_written == 11);
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "111");
    CHECK(lake.one("SELECT count(DISTINCT id) FROM " + lake.files("t")) == "110");
    SUBCASE("a changed row at the bound is no repetition") {
        auto changed = rows(99, 1);
        changed[0].text = "other";
        CHECK(lake.run(target, changed).rows_written == 1);
    }
    SUBCASE("nothing but repetitions publishes nothing") {
        CHECK(lake.run(target, rows(100, 10)).rows_filtered == 10);
        CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "111");
    }
}

TEST_CASE("replace swaps the folder; an empty source leaves the columns") {
    Lake lake;
    auto target = lake.target("t", Mode::replace);
    lake.run(target, rows(0, 500));
    lake.run(target, rows(1000, 300));
    CHECK(lake.one("SELECT count(*) || ' ' || min(id) FROM " + lake.files("t")) == "300 1000");
    lake.run(target, {});
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "0");
    CHECK(lake.one("SELECT count(*) FROM (DESCRIBE SELECT * FROM " + lake.files("t") + ")") == "4");
    CHECK(lake.leftovers() == 0);
}

TEST_CASE("replace refuses to remove what it has not written") {
    Lake lake;
    auto target = lake.target("t", Mode::replace);
    lake.run(target, rows(0, 5));
    REQUIRE(write_file(lake.root() / "t" / "notes.txt", "mine"));
    auto failed = lake.try_run(target, rows(0, 6));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == "foreign_files");
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "5");
    CHECK(lake.leftovers() == 0);
}

TEST_CASE("paths with time, a full refresh of all of them") {
    Lake lake;
    auto target = lake.target("t/dt={yyyy}-{MM}-{dd}");
    lake.run(target, rows(0, 5), "20240101t000000_a");
    lake.run(target, rows(5, 5), "20240102t000000_b");
    CHECK(is_there(lake.root() / "t/dt=2024-01-01/20240101t000000_a"));
    CHECK(lake.one("SELECT count(DISTINCT dt) FROM read_parquet('" + lake.root().string() +
                   "/t/**/*.parquet', hive_partitioning = true)") == "2");
    target.full_refresh = true;
    lake.run(target, rows(0, 7), "20240103t000000_c");
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "7");
    CHECK(is_there(lake.root() / "t/dt=2024-01-03"));
    CHECK_FALSE(is_there(lake.root() / "t/dt=2024-01-01"));
}

TEST_CASE("Hive folders, of columns and expressions; rows sorted inside") {
    Lake lake;
    auto target = lake.target("t");
    target.partition_by = "text, date(\"at\") AS day";
    target.cluster_by = {"id"};
    lake.run(target, rows(0, 5000));
    CHECK(lake.one("SELECT count(*) FROM read_parquet('" + lake.root().string() +
                   "/t/**/*.parquet', hive_partitioning = true)") == "5000");
    CHECK(lake.one("SELECT count(DISTINCT text) FROM read_parquet('" + lake.root().string() +
                   "/t/**/*.parquet', hive_partitioning = true)") == "7");
    CHECK(lake.one("SELECT count(*) FROM read_parquet('" + lake.root().string() +
                   "/t/*/text=v3/**/*.parquet') WHERE id % 7 <> 3") == "0");
    CHECK(lake.one("SELECT count(*) FROM (SELECT id < lag(id) OVER (PARTITION BY filename ORDER BY file_row_number) AS "
                   "back FROM "
                   "read_parquet('" +
                   lake.root().string() + "/t/**/*.parquet', filename = true, file_row_number = true)) WHERE back") ==
          "0");
}

TEST_CASE("merge by key: newest wins, unchanged rows are filtered, nothing is rewritten for nothing") {
    Lake lake;
    auto target = lake.target("t", Mode::merge);
    target.key = {"id"};
    target.info.cursor = "at";
    lake.run(target, rows(0, 100));
    auto changes = rows(95, 10);
    changes[0].text = "changed";
    auto back = rows(10, 1);
    back[0].at -= 1;
    back[0].text = "its cursor went back";
    changes.push_back(back[0]);
    auto counts = lake.run(target, changes);
    CHECK(counts.rows_read == 11);
    CHECK(counts.rows_written == 7);  // two changed, five new
    CHECK(counts.rows_filtered == 4);
    CHECK(lake.one("SELECT count(*) || ' ' || count(DISTINCT id) FROM " + lake.files("t")) == "105 105");
    CHECK(lake.one("SELECT text FROM " + lake.files("t") + " WHERE id = 95") == "changed");
    CHECK(lake.one("SELECT text FROM " + lake.files("t") + " WHERE id = 10") == "its cursor went back");
    auto before = lake.one("SELECT string_agg(DISTINCT filename, ',') FROM read_parquet('" + lake.root().string() +
                           "/t/**/*.parquet', filename = true)");
    CHECK(lake.run(target, rows(20, 5)).rows_filtered == 5);
    CHECK(lake.one("SELECT string_agg(DISTINCT filename, ',') FROM read_parquet('" + lake.root().string() +
                   "/t/**/*.parquet', filename = true)") == before);
    CHECK(lake.plan(target).checkpoint->cursor_to == "to 3");
    SUBCASE("update_when decides") {
        target.update_when = "T.text <> S.text AND S.text <> 'no'";
        auto more = rows(0, 2);
        more[0].text = "no", more[1].text = "yes";
        auto decided = lake.run(target, more);
        CHECK(decided.rows_written == 1);
        CHECK(lake.one("SELECT string_agg(text, ',' ORDER BY id) FROM " + lake.files("t") + " WHERE id < 2") ==
              "v0,yes");
    }
}

TEST_CASE("merge rejects rows without key and rows nothing orders") {
    Lake lake;
    auto target = lake.target("t", Mode::merge);
    target.key = {"text"};
    target.info.cursor = "at";
    lake.policy = {.stop = false};
    std::vector<Row> staged = {{1, "a", 10, 0}, {2, "a", 11, 0}, {3, "b", 5, 0}, {4, "b", 5, 0},
                               {5, {}, 1, 0},   {6, "c", 1, 0},  {6, "c", 1, 0}};
    auto counts = lake.run(target, staged);
    CHECK(counts.rows_read == 7);
    CHECK(counts.rows_rejected == 3);
    CHECK(counts.rows_filtered == 2);
    CHECK(counts.rows_written == 2);
    CHECK(lake.one("SELECT string_agg(id::VARCHAR, ',' ORDER BY id) FROM " + lake.files("t")) == "2,6");
    CHECK(lake.one("SELECT string_agg(code, ',' ORDER BY code) FROM " + lake.bookkeeping("rejects")) ==
          "duplicate_key,duplicate_key,null_key");
    CHECK(lake.one("SELECT key FROM " + lake.bookkeeping("rejects") + " WHERE code = 'null_key'") ==
          R"({"text":null})");
    lake.policy = {.stop = true};
    CHECK_FALSE(lake.try_run(target, staged));
}

TEST_CASE("history: a changed row closes its version and opens the next, without gap or overlap") {
    Lake lake;
    auto target = lake.target("t", Mode::history);
    target.key = {"id"};
    SUBCASE("by cursor") { target.info.cursor = "at"; }
    SUBCASE("by the time of the run") {}
    lake.run(target, rows(0, 10));
    auto next = rows(0, 10);
    next[3].text = "second", next[3].at += 100;
    CHECK(lake.run(target, next).rows_written == 1);
    next[3].text = "third", next[3].at += 100;
    auto counts = lake.run(target, next);
    CHECK(counts.rows_written == 1);
    CHECK(counts.rows_filtered == 9);
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t")) == "12");
    CHECK(lake.one("SELECT string_agg(text, ',' ORDER BY _penstock_valid_from) FROM " + lake.files("t") +
                   " WHERE id = 3") == "v3,second,third");
    CHECK(lake.one("SELECT count(*) FROM " + lake.files("t") + " WHERE _penstock_valid_to IS NULL") == "10");
    CHECK(lake.one("SELECT count(*) FROM (SELECT _penstock_valid_to AS ended, _penstock_valid_from AS began, "
                   "lead(_penstock_valid_from) OVER "
                   "(PARTITION BY id ORDER BY _penstock_valid_from) AS next FROM " +
                   lake.files("t") + ") WHERE ended IS DISTINCT FROM next OR ended <= began") == "0");
}

TEST_CASE("history takes several versions of a key from one batch, and a batch that comes again adds none") {
    Lake lake;
    auto target = lake.target("t", Mode::history);
    target.key = {"id"};
    target.info.cursor = "at";
    std::vector<Row> versions = {{1, "a", 100, 0}, {1, "b", 300, 0}, {1, "a", 200, 0}, {2, "x", 100, 0}};
    auto counts = lake.run(target, versions);
    CHECK(counts.rows_written == 4);  // the row itself differs by its cursor
    CHECK(lake.run(target, versions).rows_filtered == 4);
    CHECK(lake.run(target, {{1, "c", 400, 0}, {1, "b", 300, 0}}).rows_written == 1);
    CHECK(lake.one("SELECT string_agg(text || epoch_us(_penstock_valid_from) || '-' || "
                   "coalesce(epoch_us(_penstock_valid_to)::VARCHAR, ''), ' ' "
                   "ORDER BY id, _penstock_valid_from) FROM " +
                   lake.files("t")) == "a100-200 a200-300 b300-400 c400- x100-");
}

TEST_CASE("merge in Hive folders; a column added with a default, one dropped that keeps its values") {
    Lake lake;
    auto target = lake.target("t", Mode::merge);
    target.key = {"id"};
    target.partition_by = "text";
    lake.run(target, {{1, "007", 1, 10}, {2, "", 1, 20}, {3, {}, 1, 30}});
    lake.schema.fields[3] = {.name = "m", .type = data::scalar(data::Kind::int64), .initial = "5"};
    auto counts = lake.run(target, {{1, "008", 2, 11}, {4, "007", 1, 40}});
    CHECK(counts.rows_written == 2);
    std::string from = "read_parquet('" + lake.root().string() +
                       "/t/**/*.parquet', union_by_name = true, hive_types = {'text': VARCHAR})";
    CHECK(lake.one("SELECT string_agg(concat_ws('/', id, coalesce(text, 'NULL'), coalesce(n::VARCHAR, 'NULL'), m), ' ' "
                   "ORDER BY id) FROM " +
                   from) == "1/008/10/11 2//20/5 3/NULL/30/5 4/007/NULL/40");
}

TEST_CASE("schema changes: added, dropped, widened, incompatible; refused where the policy says so") {
    Lake lake;
    auto target = lake.target("t");
    target.info.cursor = "at";
    lake.run(target, rows(0, 10));
    lake.schema.fields[3] = {.name = "n", .type = data::scalar(data::Kind::text)};
    auto plan = lake.plan(target);
    REQUIRE(plan.decisions.size() == 1);
    CHECK(plan.decisions[0].decision == "new_column");
    CHECK(lake.run(target, rows(5, 10)).rows_written == 5);
    CHECK(lake.one("SELECT count(n) || ' ' || count(n__v2) FROM " + lake.files("t")) == "10 5");
    lake.schema.fields.pop_back();
    CHECK(lake.run(target, rows(15, 1)).rows_written == 1);
    CHECK(lake.one("SELECT string_agg(change || ' ' || decision, ', ' ORDER BY version) FROM " +
                   lake.bookkeeping("schema_registry")) ==
          "table_created applied, type_changed new_column, column_dropped kept_as_null");
    lake.schema.fields.push_back({.name = "extra", .type = data::scalar(data::Kind::text)});
    target.schema_change = flow::SchemaChange::reject;
    auto refused = lake.try_run(target, rows(16, 1));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("column_added extra") != std::string::npos);
    target.schema_change = flow::SchemaChange::freeze;
    CHECK(lake.run(target, rows(16, 1)).rows_written == 1);
    CHECK(lake.one("SELECT count(*) FROM (DESCRIBE SELECT * FROM " + lake.files("t") +
                   ") WHERE column_name = 'extra'") == "0");
}

TEST_CASE("a renamed column: kept by merge, both names in appended files") {
    Lake lake;
    for (size_t i = 0; i < lake.schema.fields.size(); ++i)
        lake.schema.fields[i].source_id = static_cast<int32_t>(i + 1);
    Mode mode = Mode::merge;
    SUBCASE("merge") {}
    SUBCASE("append") { mode = Mode::append; }
    auto target = lake.target("t", mode);
    target.key = {"id"};
    target.info.cursor = "at";
    lake.run(target, rows(0, 10));
    lake.schema.fields[1].name = "label";
    auto counts = lake.run(target, rows(9, 2));
    CHECK(counts.rows_written == 1);
    CHECK(lake.one("SELECT count(label) FROM " + lake.files("t")) == (mode == Mode::merge ? "11" : "1"));
    CHECK(lake.one("SELECT count(*) FROM (DESCRIBE SELECT * FROM " + lake.files("t") +
                   ") WHERE column_name = 'text'") == (mode == Mode::merge ? "0" : "1"));
}

TEST_CASE("two runs of one pipeline at once: the second is refused and told by whom") {
    Lake lake;
    auto first = lake.sink();
    REQUIRE(first->begin({"p", "run_1"}));
    auto second = lake.sink();
    auto refused = second->begin({"p", "run_2"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::conflict);
    CHECK(refused.error().message.find(fmt::format("PID {}", getpid())) != std::string::npos);
}

TEST_CASE("targets that cannot work are refused before anything is read") {
    Lake lake;
    auto code = [&](const flow::TableTarget& target) {
        auto plan = lake.sink()->plan({target}, {});
        return plan ? std::string("none") : plan.error().code;
    };
    CHECK(code(lake.target("a/../b")) == "bad_path");
    CHECK(code(lake.target("_hidden")) == "bad_path");
    CHECK(code(lake.target("/abs")) == "bad_path");
    CHECK(code(lake.target("a/{hour}")) == "bad_path");
    CHECK(code(lake.target("t/{yyyy}", Mode::merge)) == "path_has_time");
    CHECK(code(lake.target("t", Mode::merge)) == "key_missing");
    auto bad_cluster = lake.target("t");
    bad_cluster.cluster_by = {"nope"};
    CHECK(code(bad_cluster) == "no_such_column");
    auto one = lake.target("a", Mode::replace);
    auto other = lake.target("a/b", Mode::replace);
    CHECK(lake.sink()->plan({one, other}, {}).error().code == "folders_overlap");
    CHECK(with_table("{schema}/{table}/", "public.my/../table") == "public/my%2F..%2Ftable");
    CHECK(with_table("{table}", "s._x=y") == "%5Fx%3Dy");
}

/// A child runs the load and dies at a point; then a new sink plans, and what readers see is the old or the new state.
int die_in_child(const std::function<void()>& work) {
    pid_t child = fork();
    if (child == 0) {
        work();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// TSan does not follow threads of a forked child; these two run in every other build, and tests/test_kill_matrix.py kills the
// program itself.
#ifdef __SANITIZE_THREAD__
constexpr bool forks_are_followed = false;
#else
constexpr bool forks_are_followed = true;
#endif

TEST_CASE("killed at any failpoint, a rerun ends as an undisturbed run would" * doctest::skip(!forks_are_followed)) {
    for (Mode mode : {Mode::append, Mode::replace, Mode::merge, Mode::history}) {
        for (const char* point :
             {"target_schema_before", "target_stage_before", "target_stage_after", "target_merge_after",
              "target_commit_before", "target_publish_during", "target_cleanup_before"}) {
            CAPTURE(static_cast<int>(mode));
            CAPTURE(point);
            Lake lake;
            auto target = lake.target("t", mode);
            target.key = {"id"};
            target.info.cursor = "at";
            lake.run_in_child(target, rows(0, 100));
            int signal = die_in_child([&] {
                (void)arm_failpoints(fmt::format("{}=kill", point).c_str());
                (void)lake.try_run(target, rows(90, 20), "run_b");
            });
            CHECK(signal == SIGKILL);
            auto expected = mode == Mode::replace ? "20" : "110";
            lake.resume(target, rows(90, 20), "run_c");
            CHECK(lake.count_in_child("t") == expected);
            CHECK(lake.leftovers() == 0);
        }
    }
}

TEST_CASE("killed between any two moves, the next plan publishes all or the moves were never begun" *
          doctest::skip(!forks_are_followed)) {
    for (Mode mode : {Mode::append, Mode::replace, Mode::merge}) {
        for (int step = 0;; ++step) {
            Lake lake;
            auto target = lake.target("t", mode);
            target.key = {"id"};
            lake.run_in_child(target, rows(0, 10));
            int signal = die_in_child([&] { lake.die_at_move(target, rows(5, 10), step); });
            if (signal != SIGKILL) {
                CHECK(step >= 3);
                break;
            }
            CAPTURE(static_cast<int>(mode));
            CAPTURE(step);
            REQUIRE(recover(lake.root(), "p"));
            CHECK(lake.leftovers() == 0);
            auto newest = newest_manifest(lake.root(), "p", "t");
            REQUIRE(newest);
            CHECK((*newest)->batch == 2);
            CHECK(lake.count_in_child("t") == (mode == Mode::append ? "20" : mode == Mode::replace ? "10" : "15"));
        }
    }
}

TEST_CASE("a reader that globs all the while sees whole runs only") {
    Lake lake;
    auto target = lake.target("t", Mode::replace);
    target.partition_by = "text";
    lake.run(target, rows(0, 700));
    std::atomic<bool> done = false;
    std::atomic<int> seen = 0;
    std::atomic<int> partial = 0;
    std::thread reader([&] {
        while (!done) {
            std::string count = lake.try_one("SELECT count(*) FROM " + lake.files("t"));
            if (count.empty())
                continue;  // the listed files were replaced before they were opened: an error, never a part
            ++seen;
            if (std::stoll(count) % 700 != 0 || count == "0") ++partial;
        }
    });
    for (int i = 1; i <= 20; ++i) lake.run(target, rows(0, 700 * (1 + i % 3)));
    done = true;
    reader.join();
    CHECK(seen > 0);
    CHECK(partial == 0);
}

}  // namespace
}  // namespace penstock::parquet
