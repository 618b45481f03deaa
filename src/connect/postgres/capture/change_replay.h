#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "connect/postgres/capture/change_source.h"
#include "flow/ledger.h"

namespace penstock::postgres {

/// Rejected changes once more: the rows that they made, by key, as they are in the source now. A row that is there no more is
/// not read; its delete comes with the stream, or has come.
///
/// Rows bear the end of the server's log as it was before they were read: they are newer than all that the target has, and
/// older changes that the stream brings later are left out of them, while newer ones are applied. The stream's checkpoint
/// stays where it is.
class ChangeReplay : public flow::Source {
  public:
    ChangeReplay(ChangeSourceOptions options, std::vector<flow::RejectRecord> rejects)
        : options_(std::move(options)), rejects_(std::move(rejects)) {}

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t, const flow::Checkpoint&) override { return {}; }

  private:
    ChangeSourceOptions options_;
    std::vector<flow::RejectRecord> rejects_;
    std::stop_token stop_;
    std::unique_ptr<Session> catalog_;
    ChangePlan plan_;
    std::vector<flow::TableRead> wanted_;
    std::unique_ptr<Snapshot> snapshot_;
    Lsn at_;
    int64_t at_micros_ = 0;
    size_t next_ = 0;
};

}  // namespace penstock::postgres
