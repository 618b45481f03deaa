#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/scratch_folder.h"
#include "check/expectation.h"
#include "check/reference.h"
#include "engine/database.h"
#include "flow/validation.h"
#include "flow/wrapped_source.h"

namespace penstock::check {

/// A source none of whose rows go on before the checks of a pipeline have seen all that come with them. The rows of a part are
/// staged, asked, and given on, so that a verdict is the same whatever the target is. All else is the inner source's.
class CheckedSource : public flow::WrappedSource {
  public:
    /// `narrowed`: the rows were chosen by hand, and say nothing of other runs.
    CheckedSource(std::unique_ptr<flow::Source> inner, std::vector<Expectation> expectations, Reference reference,
                  bool narrowed, engine::Settings settings, std::shared_ptr<flow::ValidationLog> log)
        : flow::WrappedSource(std::move(inner)),
          expectations_(std::move(expectations)),
          reference_(std::move(reference)),
          narrowed_(narrowed),
          settings_(std::move(settings)),
          log_(std::move(log)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;

  private:
    struct Table {
        flow::TableInfo info;
        std::vector<Expectation> expectations;  ///< of the batch
        std::string reads = {};                 ///< as in flow::AskedTable
    };
    std::vector<Expectation> expectations_;
    Reference reference_;
    bool narrowed_;
    engine::Settings settings_;
    std::shared_ptr<flow::ValidationLog> log_;  ///< null where nobody asks
    std::optional<ScratchFolder> scratch_;      ///< goes after the database that spills there
    std::optional<engine::Database> database_;
    std::vector<Table> tables_;
    std::map<size_t, flow::ScanContext> contexts_;
};

/// Those that are for a table of the source, of these rows.
std::vector<Expectation> expectations_of(const std::vector<Expectation>& all, const std::string& table,
                                         CheckedRows rows);

/// Asks the target's table what is to be asked of all of it, `reference.table` in the source. `published` tells that the rows are there already.
Status check_whole_table(const std::vector<Expectation>& expectations, const Reference& reference,
                         const flow::AskedTable& table, flow::ValidationLog& log, bool published);

/// What asking that would be charged while the checks hold; those that fail are asked for examples as well. Nothing where asking
/// is free.
Result<std::optional<flow::Charge>> price_of(const std::vector<Expectation>& expectations,
                                             const flow::AskedTable& table);

}  // namespace penstock::check
