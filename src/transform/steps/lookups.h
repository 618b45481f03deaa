#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "config/step.h"
#include "engine/database.h"

namespace penstock::steps {

/// The files of lookup steps, as tables of the database that runs the steps. Calls come from the runner's thread, while nobody reads
/// rows.
class Lookups {
  public:
    using Steps = std::vector<config::Located<config::Step>>;

    /// Reads the files. They are the only ones that the database can see from then on.
    static Result<Lookups> load(const Steps& steps, engine::Database& database);
    /// Reads those again that are older than their steps allow. One that cannot be read stays as it is, with a warning.
    Status refresh();

    /// The table of a step's file: its columns, and `penstock_found`, which is true.
    static std::string table_of(const config::LookupStep& step);

  private:
    struct File {
        const config::Located<config::Step>* step;
        std::chrono::steady_clock::time_point read_at;
    };
    explicit Lookups(engine::Connection connection) : connection_(std::move(connection)) {}

    Status read(const config::Located<config::Step>& step);
    Status read_again(const config::LookupStep& step);
    Status check_unique(const config::LookupStep& step, const std::string& place, const std::string& table);

    engine::Connection connection_;
    std::vector<File> files_;
};

}  // namespace penstock::steps
