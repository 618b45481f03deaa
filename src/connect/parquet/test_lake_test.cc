#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "connect/parquet/bookkeeping.h"
#include "connect/parquet/manifest.h"
#include "connect/parquet/test_lake.h"

namespace penstock::parquet {

namespace {

void in_child(const std::function<void()>& work) {
    pid_t child = fork();
    if (child == 0) {
        work();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
}

}  // namespace

flow::TableTarget Lake::target(const std::string& name, flow::Mode mode) const {
    flow::TableTarget target;
    target.info = {.name = "public.t", .schema = schema};
    target.name = name;
    target.mode = mode;
    return target;
}

std::unique_ptr<Sink> Lake::sink() const {
    return std::make_unique<Sink>(SinkOptions{.root = root_, .pipeline = "p", .threads = 2, .write = write});
}

flow::TablePlan Lake::plan(flow::TableTarget target) {
    target.info.schema = schema;
    auto plans = sink()->plan({target}, {});
    REQUIRE_MESSAGE(plans, (plans ? "" : plans.error().text()));
    return (*plans)[0];
}

Result<flow::Counts> Lake::commit(Sink& sink, const flow::TableTarget& target, const std::vector<Row>& rows,
                                  const std::string& run_id) {
    flow::Progress progress;
    flow::RejectLog rejects(policy);
    flow::Checkpoint checkpoint{
        .cursor_from = "", .cursor_to = fmt::format("to {}", runs_), .position = "{}", .read_at = now()};
    RowScan scan(target.info.schema, rows, checkpoint);
    PN_TRY(auto plans, sink.plan({target}, {}));
    PN_CHECK(sink.begin({"p", run_id}));
    PN_TRY(auto counts, sink.load(target, scan, {progress, rejects, {}}));
    std::vector<flow::TableCommit> commits = {{target, checkpoint, counts, rejects}};
    PN_CHECK(sink.commit(commits));
    return counts;
}

Result<flow::Counts> Lake::try_run(flow::TableTarget target, std::vector<Row> rows, std::string run_id) {
    ++runs_;
    if (run_id.empty()) run_id = fmt::format("run_{}", runs_);
    target.info.schema = schema;
    auto sink = this->sink();
    auto counts = commit(*sink, target, rows, run_id);
    if (!counts) sink->abort();
    return counts;
}

flow::Counts Lake::run(flow::TableTarget target, std::vector<Row> rows, std::string run_id) {
    auto counts = try_run(std::move(target), std::move(rows), std::move(run_id));
    REQUIRE_MESSAGE(counts, (counts ? "" : counts.error().text()));
    CHECK(counts->balanced());
    return *counts;
}

void Lake::run_in_child(const flow::TableTarget& target, const std::vector<Row>& rows) {
    in_child([&] {
        if (auto counts = try_run(target, rows); !counts) {
            fmt::print(stderr, "{}\n", counts.error().text());
            _exit(1);
        }
    });
    ++runs_;
}

std::string Lake::count_in_child(const std::string& folder) {
    Path out = root_ / "_count";
    in_child([&] { (void)write_file(out, try_one("SELECT count(*) FROM " + files(folder))); });
    auto count = read_file(out);
    std::filesystem::remove(out);
    return count.value_or("");
}

void Lake::resume(const flow::TableTarget& target, const std::vector<Row>& rows, const std::string& run_id) {
    in_child([&] {
        auto before = newest_manifest(root_, "p", target.name);
        auto planned = sink()->plan({target}, {});
        auto after = newest_manifest(root_, "p", target.name);
        if (!before || !planned || !after) _exit(1);
        bool arrived = (*after)->run_id == "run_b";
        if (!arrived || target.mode != flow::Mode::append)
            if (!try_run(target, rows, run_id)) _exit(1);
    });
}

void Lake::die_at_move(flow::TableTarget target, const std::vector<Row>& rows, int step) {
    target.info.schema = schema;
    Unit unit(root_, "p", "run_x");
    auto database = engine::Database::in_memory({.threads = 2});
    flow::Progress progress;
    flow::RejectLog rejects(policy);
    RowScan scan(schema, rows, {});
    if (!unit.create() || !database) _exit(3);
    LoadContext context{
        .unit = unit, .options = write, .pipeline = "p", .run_id = "run_x", .started_at = now(), .database = *database};
    auto staged = load_table(context, target, scan, {progress, rejects, {}}, 0);
    auto connection = database->connect();
    if (!staged || !connection) _exit(3);
    auto moves = staged->moves;
    auto more = stage_bookkeeping(*connection, unit, 0, staged->manifest, rejects);
    if (!more || !write_file(unit.absolute() / "0/manifest.json", to_json(staged->manifest))) _exit(3);
    moves.insert(moves.end(), more->begin(), more->end());
    Path place = manifest_folder("p", target.name) / manifest_name(staged->manifest.batch);
    moves.push_back({.from = (unit.folder() / "0/manifest.json").string(), .to = place.string(), .marker = ""});
    int calls = 0;
    if (!unit.write_intent(moves)) _exit(3);
    (void)unit.finish([&]() -> Status {
        if (calls++ == step) std::raise(SIGKILL);
        return {};
    });
}

std::string Lake::try_one(const std::string& sql) {
    auto database = engine::Database::in_memory({.threads = 1});
    if (!database) return "";
    auto connection = database->connect();
    if (!connection) return "";
    auto rows = connection->query(sql);
    return rows && rows->rows.size() == 1 ? rows->text(0, 0) : "";
}

std::string Lake::one(const std::string& sql) {
    auto database = engine::Database::in_memory({.threads = 1});
    REQUIRE(database);
    auto connection = database->connect();
    REQUIRE(connection);
    auto rows = connection->query(sql);
    REQUIRE_MESSAGE(rows, (rows ? "" : sql + "\n" + rows.error().text()));
    REQUIRE(rows->rows.size() == 1);
    return rows->text(0, 0);
}

int Lake::leftovers() const {
    std::error_code none;
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(root_ / "_penstock/staging", none))
        ++count;
    return count;
}

}  // namespace penstock::parquet
