#pragma once

#include <duckdb.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::engine {

class Connection;
class ScanRegistry;

/// Of a pipeline's budget, what the program itself needs beside the engine: code, connections' receive buffers, blocks.
inline constexpr uint64_t outside_engine = uint64_t{160} << 20;
/// What the engine gets however small the budget is.
inline constexpr uint64_t least_memory = uint64_t{64} << 20;

struct Settings {
    unsigned threads = 1;
    uint64_t memory_limit_bytes = uint64_t{256} << 20;
    /// Where DuckDB spills; empty is `<file>.tmp` beside the file (`.penstock.tmp` for a database in memory).
    std::filesystem::path temp_directory = {};
    bool read_only = false;
};

/// An embedded DuckDB: a file, or memory alone. Never reads or writes outside the file, its `.wal` and the temp directory:
/// no extension is installed or loaded, the user's home is not looked at. A file it creates has storage version v1.3.0,
/// so that it can hold DICT_FSST segments and every DuckDB from 1.3 on reads it. Closes when the last connection has gone. Opening
/// a file again in this process shares it, with the settings of the first time.
class Database {
  public:
    static Result<Database> open(const std::filesystem::path& file, const Settings& settings);
    static Result<Database> in_memory(const Settings& settings);

    /// `stop` cancels whatever runs on the connection and everything asked of it from then on.
    Result<Connection> connect(std::stop_token stop = {});
    ScanRegistry& scans() const;

  private:
    friend class Connection;
    friend struct OpenFiles;
    struct Handle;
    static Result<Database> open_with(const char* path, const Settings& settings, bool created);
    std::shared_ptr<Handle> handle_;
};

/// Text, or NULL.
using Value = std::optional<std::string>;

struct Rows {
    std::vector<std::string> columns;
    std::vector<std::vector<Value>> rows;

    bool empty() const { return rows.empty(); }
    /// Text of a value, "" for NULL.
    const std::string& text(size_t row, size_t column) const;
    /// 0 for NULL. The column is an integer by the query that was asked.
    int64_t number(size_t row, size_t column) const;
};

/// One session: a transaction at a time, one thread at a time. Its time zone is UTC.
class Connection {
  public:
    Connection(Connection&& other) noexcept;
    Connection& operator=(Connection&&) = delete;
    ~Connection();

    /// One statement or several, without results. Returns the rows changed by the last one.
    Result<int64_t> execute(const std::string& sql);
    /// One statement with $1, $2 … bound as text; cast in SQL where another type is meant.
    Result<int64_t> execute(const std::string& sql, std::span<const Value> parameters);
    /// A small result as text: booleans, integers and VARCHAR; cast anything else in the query.
    Result<Rows> query(const std::string& sql, std::span<const Value> parameters = {});
    /// Columns and types of a query or table, without running it: see types.h.
    Status with_result(const std::string& sql, std::span<const Value> parameters,
                       const std::function<Status(duckdb_result&)>& use);

    /// Rolls back if a transaction is open; never fails.
    void rollback() noexcept;

    duckdb_connection native() const { return connection_; }
    const std::stop_token& stop() const { return stop_; }

  private:
    friend class Database;
    Connection(std::shared_ptr<Database::Handle> handle, duckdb_connection connection, std::stop_token stop);

    std::shared_ptr<Database::Handle> handle_;
    duckdb_connection connection_ = nullptr;
    std::stop_token stop_;
};

/// Adds rows of text to a table, cast to its columns' types; for bookkeeping, not for data. The columns are the table's
/// first ones in order unless named.
class Appender {
  public:
    static Result<Appender> open(Connection& connection, const std::string& schema, const std::string& table);
    Appender(Appender&& other) noexcept : appender_(other.appender_) { other.appender_ = nullptr; }
    Appender& operator=(Appender&&) = delete;
    ~Appender();

    Status append(std::span<const Value> row);
    Status close();

  private:
    explicit Appender(duckdb_appender appender) : appender_(appender) {}
    Error last_error() const;
    duckdb_appender appender_;
};

}  // namespace penstock::engine
