#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "check/expectation.h"
#include "engine/database.h"
#include "flow/source.h"
#include "flow/validation.h"

namespace penstock::check {

/// A source none of whose rows go on before the checks of a pipeline have seen all that come with them. The rows of a part are
/// staged, asked, and given on, so that a verdict is the same whatever the target is. All else is the inner source's.
class CheckedSource : public flow::Source {
  public:
    CheckedSource(std::unique_ptr<flow::Source> inner, std::vector<Expectation> expectations, engine::Settings settings,
                  std::shared_ptr<flow::ValidationLog> log)
        : inner_(std::move(inner)),
          expectations_(std::move(expectations)),
          settings_(std::move(settings)),
          log_(std::move(log)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status resume(std::optional<flow::Checkpoint> from) override { return inner_->resume(std::move(from)); }
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override { return inner_->confirm(table, durable); }
    Status confirm_stream(const flow::Checkpoint& durable) override { return inner_->confirm_stream(durable); }
    Result<std::optional<flow::Checkpoint>> set_aside(size_t table, const Error& error) override {
        return inner_->set_aside(table, error);
    }
    flow::Spending spent() const override { return inner_->spent(); }

  private:
    struct Table {
        flow::TableInfo info;
        std::vector<Expectation> expectations;  ///< of the batch
    };
    std::unique_ptr<flow::Source> inner_;
    std::vector<Expectation> expectations_;
    engine::Settings settings_;
    std::shared_ptr<flow::ValidationLog> log_;  ///< null where nobody asks
    std::optional<engine::Database> database_;
    std::vector<Table> tables_;
    std::map<size_t, flow::ScanContext> contexts_;
};

/// Those that are for a table of the source, of these rows.
std::vector<Expectation> expectations_of(const std::vector<Expectation>& all, const std::string& table,
                                         CheckedRows rows);

/// Asks the target's table what is to be asked of all of it. `published` tells that the rows are there already.
Status check_whole_table(const std::vector<Expectation>& expectations, const std::string& source,
                         const flow::AskedTable& table, flow::ValidationLog& log, bool published);

}  // namespace penstock::check
