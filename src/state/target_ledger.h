#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "flow/ledger.h"
#include "flow/sink.h"

namespace penstock::state {

class Connection;

/// Checkpoints, counts and rejects of a target that has no place for them: a bus, a webhook. They lie in the state store, so
/// what they cover and they themselves cannot become durable in one step. A sink makes the rows durable first and commits here
/// after: what is killed in between is written again (at least once). Each commit is one transaction, on disk when it returns.
/// Of a table's batches only the newest stays. One thread; any number of processes.
class TargetLedger : public flow::Ledger {
  public:
    /// The source under which a stream's own checkpoint lies; its target is "".
    static constexpr const char* stream_source = "(stream)";

    /// Of the target that is named `connection` in the configuration. `url` and `directory` as for Store::open.
    TargetLedger(std::string url, std::filesystem::path directory, std::string connection);
    ~TargetLedger() override;

    Result<std::vector<flow::RejectRecord>> rejects(const flow::RejectFilter& filter) override;
    Result<int64_t> resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) override;
    /// Such a target's tables have no shape: always empty.
    Result<std::vector<flow::SchemaRecord>> schema_history(std::string_view table) override;
    Result<std::vector<flow::BatchRecord>> checkpoints(std::string_view pipeline) override;

    /// Where a table of a pipeline goes on; nothing at its first run.
    Result<std::optional<flow::Checkpoint>> checkpoint(const std::string& pipeline, const std::string& source,
                                                       const std::string& target);
    /// Makes a unit of work durable, and the stream's own checkpoint with it where there is one. Makes the state where there
    /// is none. Refused (`checkpoint_moved`) where another run has moved a checkpoint since checkpoint() was asked.
    Status commit(const flow::RunIdentity& run, std::span<const flow::TableCommit> tables,
                  const std::optional<flow::Checkpoint>& stream = std::nullopt);

  private:
    using Names = std::pair<std::string, std::string>;  ///< source and target
    Result<Connection*> open(bool create);

    std::string url_;
    std::filesystem::path directory_;
    std::string connection_name_;
    std::unique_ptr<Connection> connection_;
    std::map<Names, long long> known_batches_;
};

}  // namespace penstock::state
