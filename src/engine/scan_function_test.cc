#include "engine/scan_function.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <set>
#include <stdexcept>
#include <thread>

#include "engine/sql.h"
#include "engine/types.h"

namespace penstock::engine {
namespace {

using data::Kind;

/// `blocks` blocks of rows that `write` makes of a running number; any number of readers share them.
class MadeScan : public flow::Scan {
  public:
    using Write = std::function<void(data::Block&, size_t row, int64_t number)>;

    MadeScan(data::Schema schema, int64_t rows, Write write)
        : schema_(std::move(schema)), rows_(rows), write_(std::move(write)) {}

    const data::Schema& schema() const override { return schema_; }
    unsigned max_readers() const override { return 2; }
    Result<std::unique_ptr<flow::ScanReader>> reader() override {
        if (reader_throws) throw std::bad_alloc();
        return std::make_unique<Reader>(*this);
    }
    Result<flow::Checkpoint> finish() override { return flow::Checkpoint{}; }

    std::atomic<int64_t> fail_at = -1;
    std::atomic<int64_t> throw_at = -1;
    bool reader_throws = false;
    std::set<std::thread::id> threads;

  private:
    struct Reader : flow::ScanReader {
        explicit Reader(MadeScan& owner) : scan(owner) {}
        Status fill(data::Block& block) override {
            int64_t first = scan.next_.fetch_add(data::block_rows);
            {
                std::lock_guard lock(scan.mutex_);
                scan.threads.insert(std::this_thread::get_id());
            }
            while (first < scan.rows_ && block.rows < data::block_rows && first + int64_t(block.rows) < scan.rows_) {
                int64_t number = first + static_cast<int64_t>(block.rows);
                if (number == scan.throw_at) throw std::runtime_error("surprise");
                if (number == scan.fail_at)
                    return fail({.kind = ErrorKind::unavailable,
                                 .code = "made_up",
                                 .message = "the source went away",
                                 .hint = "wait"});
                scan.write_(block, block.rows, number);
                ++block.rows;
            }
            return {};
        }
        MadeScan& scan;
    };

    data::Schema schema_;
    int64_t rows_;
    Write write_;
    std::atomic<int64_t> next_ = 0;
    std::mutex mutex_;
};

struct Memory {
    Database database = *Database::in_memory({.threads = 2, .memory_limit_bytes = 256 << 20});
    Connection connection = *database.connect();

    std::string one(const std::string& sql) {
        auto rows = connection.query(sql);
        REQUIRE_MESSAGE(rows, (rows ? "" : rows.error().text()));
        REQUIRE(rows->rows.size() == 1);
        return rows->text(0, 0);
    }
    void load(MadeScan& scan) {
        LentScan lent(database, scan);
        auto changed = connection.execute("CREATE TABLE t AS SELECT * FROM " + lent.sql());
        REQUIRE_MESSAGE(changed, (changed ? "" : lent.original(changed.error()).text()));
    }
};

TEST_CASE("rows of two readers arrive once each, whole strings included") {
    Memory memory;
    constexpr int64_t count = 300'000;
    std::vector<std::string> texts;
    for (int i = 0; i < 1000; ++i)
        texts.push_back(std::string(static_cast<size_t>(i % 40), static_cast<char>('a' + i % 26)));
    MadeScan scan({{{.name = "n", .type = scalar(Kind::int64)}, {.name = "s", .type = scalar(Kind::text)}}}, count,
                  [&](data::Block& block, size_t row, int64_t number) {
                      block.columns[0].values<int64_t>()[row] = number;
                      if (number % 7 == 0) return block.columns[1].set_null(row);
                      block.columns[1].values<data::StringRef>()[row] =
                          data::StringRef(texts[static_cast<size_t>(number % 1000)]);
                  });
    memory.load(scan);
    CHECK(memory.one("SELECT count(*) FROM t") == std::to_string(count));
    CHECK(memory.one("SELECT count(DISTINCT n) FROM t") == std::to_string(count));
    CHECK(memory.one("SELECT sum(n)::BIGINT FROM t") == std::to_string(count * (count - 1) / 2));
    CHECK(memory.one("SELECT count(*) FROM t WHERE s IS NULL") == std::to_string((count + 6) / 7));
    CHECK(memory.one(
              "SELECT count(*) FROM t WHERE s IS DISTINCT FROM "
              "CASE WHEN n % 7 <> 0 THEN repeat(chr((97 + n % 1000 % 26)::INTEGER), (n % 1000 % 40)::BIGINT) END") ==
          "0");
    CHECK(scan.threads.size() == 2);
}

TEST_CASE("nested columns: lists of structures, structures of lists, maps, NULL at every level") {
    Memory memory;
    auto person = data::structure_of(
        {{.name = "name", .type = scalar(Kind::text)}, {.name = "ages", .type = list_of(scalar(Kind::int32))}});
    data::Schema schema{{{.name = "n", .type = scalar(Kind::int64)},
                         {.name = "people", .type = list_of(person)},
                         {.name = "one", .type = person},
                         {.name = "grid", .type = list_of(list_of(scalar(Kind::int16)))},
                         {.name = "pairs", .type = map_of(scalar(Kind::text), scalar(Kind::text))}}};
    MadeScan scan(schema, 5000, [](data::Block& block, size_t row, int64_t number) {
        block.columns[0].values<int64_t>()[row] = number;
        auto& people = block.columns[1];
        if (number % 5 == 0) {
            for (size_t i = 1; i < 5; ++i) block.columns[i].set_null(row);
            return;
        }
        size_t count = static_cast<size_t>(number % 4);
        auto write_person = [number](data::Column& column, size_t at, size_t i) {
            if (i == 2) return column.set_null(at);
            column.children()[0].values<data::StringRef>()[at] =
                data::StringRef(number % 2 == 0 ? "a name longer than twelve" : "short");
            auto& ages = column.children()[1];
            size_t first = ages.children()[0].grow(i);
            for (size_t k = 0; k < i; ++k)
                ages.children()[0].values<int32_t>()[first + k] = static_cast<int32_t>(number);
            ages.values<data::ListEntry>()[at] = {first, i};
        };
        size_t first = people.children()[0].grow(count);
        people.values<data::ListEntry>()[row] = {first, count};
        for (size_t i = 0; i < count; ++i) write_person(people.children()[0], first + i, i);
        write_person(block.columns[2], row, count);
        auto& grid = block.columns[3];
        size_t inner = grid.children()[0].grow(2);
        grid.values<data::ListEntry>()[row] = {inner, 2};
        size_t cell = grid.children()[0].children()[0].grow(1);
        grid.children()[0].children()[0].values<int16_t>()[cell] = static_cast<int16_t>(number);
        grid.children()[0].values<data::ListEntry>()[inner] = {cell, 1};
        grid.children()[0].set_null(inner + 1);
        auto& pairs = block.columns[4];
        auto& entry = pairs.children()[0];
        size_t key = entry.grow(1);
        pairs.values<data::ListEntry>()[row] = {key, 1};
        entry.children()[0].values<data::StringRef>()[key] = data::StringRef("k");
        entry.children()[1].set_null(key);
    });
    memory.load(scan);
    auto text = [&](const char* column, int n) {
        return memory.one(fmt::format("SELECT {}::VARCHAR FROM t WHERE n = {}", column, n));
    };
    CHECK(memory.one("SELECT count(*) FROM t") == "5000");
    CHECK(text("people", 3) == "[{'name': short, 'ages': []}, {'name': short, 'ages': [3]}, NULL]");
    CHECK(text("people", 4) == "[]");
    CHECK(text("one", 4) == "{'name': a name longer than twelve, 'ages': []}");
    CHECK(text("one", 3) == "{'name': short, 'ages': [3, 3, 3]}");
    CHECK(memory.one("SELECT count(*) FROM t WHERE n % 4 = 2 AND n % 5 <> 0 AND one IS NOT NULL") == "0");
    CHECK(memory.one("SELECT count(*) FROM t WHERE n % 4 = 2 AND n % 5 <> 0 AND one.name IS NOT NULL") == "0");
    CHECK(text("grid", 4999) == "[[4999], NULL]");
    CHECK(text("pairs", 4999) == "{k=NULL}");
    CHECK(
        memory.one("SELECT count(*) FROM t WHERE people IS NULL AND one IS NULL AND grid IS NULL AND pairs IS NULL") ==
        "1000");
}

TEST_CASE("no cast lies between a scan and a table of its types") {
    Memory memory;
    data::Schema schema{{{.name = "j", .type = scalar(Kind::json)},
                         {.name = "u", .type = scalar(Kind::uuid)},
                         {.name = "d", .type = data::decimal(12, 2)},
                         {.name = "l", .type = list_of(scalar(Kind::json))},
                         {.name = "m", .type = map_of(scalar(Kind::text), scalar(Kind::json))},
                         {.name = "z", .type = scalar(Kind::timestamptz)}}};
    std::string columns;
    for (const auto& field : schema.fields)
        columns += (columns.empty() ? "" : ", ") + field.name + " " + sql_type(field.type);
    REQUIRE(memory.connection.execute("CREATE TABLE t (" + columns + ")"));
    MadeScan scan(schema, 0, [](data::Block&, size_t, int64_t) {});
    LentScan lent(memory.database, scan);
    auto plan = memory.connection.query("EXPLAIN INSERT INTO t SELECT * FROM " + lent.sql());
    REQUIRE(plan);
    CHECK(plan->text(0, 1).find("PENSTOCK_SCAN") != std::string::npos);
    CHECK_MESSAGE(plan->text(0, 1).find("CAST") == std::string::npos, plan->text(0, 1));
}

TEST_CASE("the error of a reader comes back as it was") {
    Memory memory;
    MadeScan scan(
        {{{.name = "n", .type = scalar(Kind::int64)}}}, 100'000,
        [](data::Block& block, size_t row, int64_t number) { block.columns[0].values<int64_t>()[row] = number; });
    scan.fail_at = 70'001;
    LentScan lent(memory.database, scan);
    auto changed = memory.connection.execute("CREATE TABLE t AS SELECT * FROM " + lent.sql());
    REQUIRE_FALSE(changed);
    Error error = lent.original(changed.error());
    CHECK(error.kind == ErrorKind::unavailable);
    CHECK(error.code == "made_up");
    CHECK(error.hint == "wait");
}

TEST_CASE("no exception of a scan passes through DuckDB") {
    Memory memory;
    MadeScan scan(
        {{{.name = "n", .type = scalar(Kind::int64)}}}, 100'000,
        [](data::Block& block, size_t row, int64_t number) { block.columns[0].values<int64_t>()[row] = number; });
    std::string code = "reader_threw";
    SUBCASE("while it makes a reader") { scan.reader_throws = true, code = "out_of_memory"; }
    SUBCASE("while it reads") { scan.throw_at = 70'001; }
    LentScan lent(memory.database, scan);
    auto changed = memory.connection.execute("CREATE TABLE t AS SELECT * FROM " + lent.sql());
    REQUIRE_FALSE(changed);
    CHECK(lent.original(changed.error()).code == code);
    CHECK(memory.connection.execute("SELECT 1"));
}

TEST_CASE("a stop interrupts a running statement, and every later one") {
    Memory memory;
    std::stop_source stop;
    auto connection = *memory.database.connect(stop.get_token());
    std::jthread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        stop.request_stop();
    });
    auto changed = connection.execute("CREATE TABLE big AS SELECT a.range FROM range(1000000) a, range(1000000) b");
    REQUIRE_FALSE(changed);
    CHECK(changed.error().kind == ErrorKind::interrupted);
    auto again = connection.execute("SELECT 1");
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::interrupted);
}

/// For TIMING=1: what the pull adds. Not a check of speed.
TEST_CASE("timing" * doctest::skip(std::getenv("TIMING") == nullptr)) {
    auto file = std::filesystem::temp_directory_path() / fmt::format("penstock_timing_{}.duckdb", ::getpid());
    std::string words = "a reasonably long text to point into, of which every row takes a piece";
    data::Schema schema{{{.name = "n", .type = scalar(Kind::int64)},
                         {.name = "at", .type = scalar(Kind::timestamptz)},
                         {.name = "s", .type = scalar(Kind::text)},
                         {.name = "u", .type = scalar(Kind::uuid)}}};
    MadeScan scan(schema, 50'000'000, [&](data::Block& block, size_t row, int64_t number) {
        block.columns[0].values<int64_t>()[row] = number;
        block.columns[1].values<int64_t>()[row] = 1'700'000'000'000'000 + number * 1000;
        block.columns[2].values<data::StringRef>()[row] =
            data::StringRef(words.data() + number % 20, 20 + static_cast<size_t>(number % 7));
        block.columns[3].values<data::Int128>()[row] = static_cast<data::Int128>(number) * 0x9E3779B97F4A7C15;
    });
    auto database = *Database::open(file, {.threads = 2, .memory_limit_bytes = 350 << 20});
    auto connection = *database.connect();
    auto started = std::chrono::steady_clock::now();
    LentScan lent(database, scan, 50'000'000);
    const char* sink = std::getenv("TIMING_SQL");
    auto changed =
        connection.execute(fmt::format(fmt::runtime(sink != nullptr ? sink : "SELECT count(*) FROM {}"), lent.sql()));
    if (!changed) FAIL(changed.error().text());
    MESSAGE(std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() << " s");
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace penstock::engine
