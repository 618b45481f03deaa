#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "state/connection.h"

namespace penstock::mysql {

/// A row by the names of its columns; NULL is absent.
using Row = std::map<std::string, std::optional<std::string>>;

/// A database whose tables are somebody else's. One thread. A server that is away for a while is waited for.
class Tables {
  public:
    static Result<std::unique_ptr<Tables>> open(const state::Place& place);

    /// All rows, as text, in the order of the first column. Refused above `most`, and where there is no such table.
    Result<std::vector<Row>> rows(const std::string& table, size_t most);
    /// The names of a table's columns; none when there is no such table.
    Result<std::vector<std::string>> columns(const std::string& table);
    /// One statement that may be done twice as well as once. `values` stand for its `:v0`, `:v1`, …
    Status execute(const std::string& statement, const std::vector<std::string>& values);
    Result<std::string> version() { return connection_->version(); }
    const state::Place& place() const { return connection_->place(); }

  private:
    explicit Tables(std::unique_ptr<state::Connection> connection) : connection_(std::move(connection)) {}
    std::unique_ptr<state::Connection> connection_;
};

/// `last_run`
std::string quote_name(const std::string& name);
/// `ops`.`jobs`
std::string quote_table(const std::string& table);

}  // namespace penstock::mysql
