#include "engine/error.h"

#include <fmt/format.h>

#include <cctype>
#include <string>

#include "base/secret.h"

namespace penstock::engine {
namespace {

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

/// DuckDB's text without its class of error in front, on one line, without the web address it likes to add.
std::string plain(std::string_view message) {
    for (std::string_view prefix :
         {"IO Error: ", "Binder Error: ", "Catalog Error: ", "Parser Error: ", "Invalid Input Error: ",
          "INTERNAL Error: ", "FATAL Error: ", "Out of Memory Error: ", "Constraint Error: ", "Conversion Error: ",
          "Invalid Error: "})
        if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
    if (auto web = message.find(". See also http"); web != message.npos) message = message.substr(0, web);
    // Where in DuckDB it broke is for its authors, and addresses differ from run to run.
    for (std::string_view trace : {"\n\nStack Trace:", "\nStack Trace:", "\nThis error signals an assertion failure"})
        if (auto start = message.find(trace); start != message.npos) message = message.substr(0, start);
    // The statement is ours: a picture of it tells the user nothing.
    if (auto statement = message.find("\n\nLINE "); statement != message.npos) message = message.substr(0, statement);
    std::string line;
    for (char c : message) {
        bool space = std::isspace(static_cast<unsigned char>(c)) != 0;
        if (!space || (!line.empty() && line.back() != ' ')) line += space ? ' ' : c;
    }
    while (line.ends_with(' ')) line.pop_back();
    return redact(std::move(line));
}

/// The process in "Conflicting lock is held in /usr/bin/python3.11 (PID 18552)", or "".
std::string lock_holder(std::string_view message) {
    auto start = message.find("is held in ");
    if (start == message.npos) return "";
    start += 11;
    auto pid = message.find("(PID ", start);
    auto end = message.find(')', pid);
    if (pid == message.npos || end == message.npos) return "";
    std::string program(message.substr(start, pid - start - 1));
    if (auto slash = program.rfind('/'); slash != program.npos) program.erase(0, slash + 1);
    return fmt::format("{}, PID {}", program, message.substr(pid + 5, end - pid - 5));
}

bool disk_full(std::string_view message) {
    return has(message, "No space left on device") || has(message, "Disk quota exceeded") ||
           has(message, "File too large") || has(message, "max_temp_directory_size");
}

/// DuckDB gives some failures as text only; its class then stands in front.
duckdb_error_type type_in(std::string_view message) {
    if (message.starts_with("TransactionContext Error") || message.starts_with("Transaction"))
        return DUCKDB_ERROR_TRANSACTION;
    if (message.starts_with("Constraint Error")) return DUCKDB_ERROR_CONSTRAINT;
    if (message.starts_with("Conversion Error")) return DUCKDB_ERROR_CONVERSION;
    if (message.starts_with("Out of Range Error")) return DUCKDB_ERROR_OUT_OF_RANGE;
    if (message.starts_with("IO Error")) return DUCKDB_ERROR_IO;
    if (message.starts_with("INTERNAL Error")) return DUCKDB_ERROR_INTERNAL;
    if (message.starts_with("FATAL Error")) return DUCKDB_ERROR_FATAL;
    return DUCKDB_ERROR_INVALID;
}

Error disk_full_error(std::string_view message) {
    return {.kind = ErrorKind::capacity,
            .code = "disk_full",
            .message = fmt::format("the disk under the target is full: {}", plain(message)),
            .hint = "free space there, then run again: nothing of this run has been committed"};
}

}  // namespace

Error error_from(duckdb_error_type type, std::string_view message) {
    if (disk_full(message)) return disk_full_error(message);
    if (type == DUCKDB_ERROR_INTERRUPT || message.starts_with("INTERRUPT"))
        return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the statement was cancelled"};
    if (type == DUCKDB_ERROR_OUT_OF_MEMORY || message.starts_with("Out of Memory"))
        return {.kind = ErrorKind::capacity,
                .code = "out_of_memory",
                .message = fmt::format("DuckDB's share of the memory budget is used up: {}", plain(message)),
                .hint = "raise `memory:` of the pipeline, or lower `parallel:`"};
    switch (type == DUCKDB_ERROR_INVALID ? type_in(message) : type) {
        case DUCKDB_ERROR_TRANSACTION:
            return {.kind = ErrorKind::conflict, .code = "transaction_conflict", .message = plain(message)};
        case DUCKDB_ERROR_CONSTRAINT:
        case DUCKDB_ERROR_CONVERSION:
        case DUCKDB_ERROR_OUT_OF_RANGE:
            return {.kind = ErrorKind::data, .code = "target_refused_value", .message = plain(message)};
        case DUCKDB_ERROR_IO: return {.kind = ErrorKind::refused, .code = "duckdb_io", .message = plain(message)};
        case DUCKDB_ERROR_INTERNAL:
        case DUCKDB_ERROR_FATAL:
            return {.kind = ErrorKind::internal, .code = "duckdb_internal", .message = plain(message)};
        default: return {.kind = ErrorKind::refused, .code = "duckdb_refused", .message = plain(message)};
    }
}

Error open_error(const std::filesystem::path& file, std::string_view message) {
    std::string name = file.string();
    if (has(message, "Could not set lock")) {
        std::string holder = lock_holder(message);
        return {.kind = ErrorKind::conflict,
                .code = "database_locked",
                .message = fmt::format("{} is locked by {}", name,
                                       holder.empty() ? "another user of it" : "another process (" + holder + ")"),
                .hint = "DuckDB lets one process write at a time: close that one, or wait for it to end"};
    }
    if (has(message, "not a valid DuckDB database") || has(message, "Is a directory"))
        return {.kind = ErrorKind::refused,
                .code = "not_a_database",
                .message = fmt::format(
                    "{} is {}", name,
                    has(message, "Is a directory") ? "a directory, not a DuckDB file" : "not a DuckDB file"),
                .hint = "name a DuckDB file, or one that does not exist yet, under `path:` of the connection"};
    if (has(message, "newer version") || has(message, "version number"))
        return {.kind = ErrorKind::refused,
                .code = "database_version",
                .message = fmt::format("{} was written by another version of DuckDB: {}", name, plain(message)),
                .hint = fmt::format("this program holds DuckDB {}", duckdb_library_version())};
    if (has(message, "ermission denied") || has(message, "ead-only file system"))
        return {.kind = ErrorKind::refused,
                .code = "no_permission",
                .message = fmt::format("{} cannot be opened: {}", name, plain(message)),
                .hint = "give this user the right to write the file and its folder"};
    if (has(message, "No such file or directory") || has(message, "does not exist"))
        return {.kind = ErrorKind::refused,
                .code = "no_such_file",
                .message = fmt::format("{} cannot be opened: its folder does not exist", name),
                .hint = "create the folder, or mend `path:` of the connection"};
    if (disk_full(message)) return disk_full_error(message);
    return {.kind = ErrorKind::refused,
            .code = "open_failed",
            .message = fmt::format("{} cannot be opened: {}", name, plain(message))};
}

}  // namespace penstock::engine
