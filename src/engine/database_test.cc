#include "engine/database.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/sql.h"

namespace penstock::engine {
namespace {

struct Folder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("penstock_engine_{}", ::getpid());
    Folder() { std::filesystem::create_directories(path); }
    ~Folder() { std::filesystem::remove_all(path); }
};

/// Another process that holds the file's lock while this lives.
struct LockHolder {
    pid_t pid;
    explicit LockHolder(const std::filesystem::path& file) {
        int ready[2];
        REQUIRE(::pipe(ready) == 0);
        pid = ::fork();
        if (pid == 0) {
            struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0, .l_pid = 0};
            int descriptor = ::open(file.c_str(), O_RDWR);
            if (::fcntl(descriptor, F_SETLK, &lock) == 0) (void)!::write(ready[1], "x", 1);
            ::pause();
            ::_exit(0);
        }
        char held = 0;
        REQUIRE(::read(ready[0], &held, 1) == 1);
    }
    ~LockHolder() {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
};

TEST_CASE("a file locked by another process is a conflict that names it") {
    Folder folder;
    auto file = folder.path / "w.duckdb";
    REQUIRE(Database::open(file, {}));
    LockHolder holder(file);
    for (bool read_only : {false, true}) {
        auto opened = Database::open(file, {.read_only = read_only});
        REQUIRE_FALSE(opened);
        CHECK(opened.error().kind == ErrorKind::conflict);
        CHECK(opened.error().code == "database_locked");
        CHECK(opened.error().message.find(fmt::format("PID {}", holder.pid)) != std::string::npos);
        CHECK(opened.error().message.find(file.string()) != std::string::npos);
        CHECK_FALSE(opened.error().hint.empty());
    }
}

TEST_CASE("a file that is open in this process is shared, so that it is never torn") {
    Folder folder;
    auto file = folder.path / "w.duckdb";
    auto first = *Database::open(file, {});
    auto writer = *first.connect();
    REQUIRE(writer.execute("CREATE TABLE t AS SELECT 1 AS i"));
    auto second = Database::open(folder.path / "." / "w.duckdb", {.read_only = true});
    REQUIRE(second);
    CHECK(second->connect()->query("SELECT i FROM t")->number(0, 0) == 1);
}

TEST_CASE("what cannot be opened says why") {
    Folder folder;
    CHECK(Database::open(folder.path, {}).error().code == "not_a_database");
    CHECK(Database::open(folder.path / "no" / "w.duckdb", {}).error().code == "no_such_file");
    CHECK(Database::open(folder.path / "w.duckdb", {.read_only = true}).error().code == "no_such_file");
    CHECK(open_error("w.duckdb", "IO Error: Cannot open file \"w.duckdb\": Permission denied").code == "no_permission");
}

TEST_CASE("failures say who must act") {
    CHECK(error_from(DUCKDB_ERROR_IO, "IO Error: Could not write file \"w\": No space left on device").kind ==
          ErrorKind::capacity);
    CHECK(error_from(DUCKDB_ERROR_INTERRUPT, "INTERRUPT Error: Interrupted!").kind == ErrorKind::interrupted);
    CHECK(error_from(DUCKDB_ERROR_INVALID, "TransactionContext Error: Failed to commit: conflict").kind ==
          ErrorKind::conflict);
    auto spread = error_from(
        DUCKDB_ERROR_BINDER,
        "Binder Error: Referenced column \"x\" not found\nCandidate bindings: \"a\"\n\nLINE 1: SELECT x\n  ^");
    CHECK(spread.message == "Referenced column \"x\" not found Candidate bindings: \"a\"");
}

TEST_CASE("a fault of DuckDB is told without the addresses where it broke") {
    auto fault = error_from(DUCKDB_ERROR_INTERNAL,
                            "INTERNAL Error: Attempted to access index 3 within vector of size 3\n\nStack Trace:\n\n"
                            "/lib/libduckdb.so(+0x1a2b3c) [0x7f0102030405]\n/lib/libc.so.6(+0x8a) [0x7f00]");
    CHECK(fault.kind == ErrorKind::internal);
    CHECK(fault.message == "Attempted to access index 3 within vector of size 3");
}

TEST_CASE("memory that is used up is capacity, and the file survives it") {
    Folder folder;
    auto file = folder.path / "w.duckdb";
    auto database = *Database::open(file, {.threads = 2, .memory_limit_bytes = 32 << 20, .temp_directory = "/proc/no"});
    auto connection = *database.connect();
    auto result = connection.execute("CREATE TABLE t AS SELECT list(range) AS l FROM range(20000000)");
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == ErrorKind::capacity);
    CHECK(result.error().hint.find("memory:") != std::string::npos);
    CHECK(connection.query("SELECT 42")->number(0, 0) == 42);
}

TEST_CASE("parameters are bound as text and NULL, results come as text") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    std::vector<Value> parameters = {"it's", std::nullopt, "7"};
    auto rows = *connection.query("SELECT $1, $2 AS nothing, $3::BIGINT + 1, true", parameters);
    CHECK(rows.columns[1] == "nothing");
    CHECK(rows.text(0, 0) == "it's");
    CHECK_FALSE(rows.rows[0][1]);
    CHECK(rows.number(0, 2) == 8);
    CHECK(rows.text(0, 3) == "true");
    CHECK(connection.query("SELECT 1.5 AS x").error().code == "unreadable_column");
    CHECK(*connection.execute("CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1), (2)") == 2);
}

TEST_CASE("an appender takes text and casts it") {
    auto database = *Database::in_memory({});
    auto connection = *database.connect();
    REQUIRE(connection.execute("CREATE TABLE t (i BIGINT, at_ TIMESTAMPTZ, s VARCHAR)"));
    auto appender = *Appender::open(connection, "main", "t");
    std::vector<Value> row = {"5", "2026-11-21T06:33:33.123456Z", std::nullopt};
    REQUIRE(appender.append(row));
    REQUIRE(appender.close());
    CHECK(connection.query("SELECT i::VARCHAR || ' ' || epoch_us(at_) FROM t WHERE s IS NULL")->text(0, 0) ==
          "5 1795242813123456");
}

TEST_CASE("names and literals are quoted") {
    CHECK(quote_identifier("a\"b") == "\"a\"\"b\"");
    CHECK(quote_literal("it's") == "'it''s'");
    CHECK(TableName::parse("shop.a.b").quoted() == "\"shop\".\"a.b\"");
    CHECK(TableName::parse("t").quoted() == "\"main\".\"t\"");
    CHECK(quote_list({"a", "b"}, "S.") == "S.\"a\", S.\"b\"");
}

}  // namespace
}  // namespace penstock::engine
