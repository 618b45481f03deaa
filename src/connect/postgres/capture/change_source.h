#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/capture/change_pump.h"
#include "connect/postgres/capture/output_plugin.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/replication/slot_guard.h"
#include "connect/postgres/snapshot.h"
#include "flow/source.h"

namespace penstock::postgres {

/// What a change source works from; copied out of the configuration.
struct ChangeSourceOptions {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    std::string pipeline;
    std::string purpose;  ///< application_name
    unsigned parallel = 1;
    uint64_t memory_bytes = 0;  ///< for changes that are not applied yet
    bool follow = false;        ///< go on when everything was read
};

/// How far a captured table is; the checkpoint's position, as JSON.
struct ChangePosition {
    Lsn streamed;  ///< the pipeline's stream: what committed before is in the target, in every table whose `from` lies before it
    Lsn from;  ///< the table's snapshot holds what committed before; its changes count from here on
    std::string system;
    int64_t timeline = 0;
    Lsn born;                      ///< where the slot began, or was taken up anew: tables of one stream share it
    uint32_t oid = 0;              ///< of the table
    std::vector<uint32_t> tables;  ///< all that the stream captured then: others may have changed meanwhile

    std::string to_json() const;
    static Result<ChangePosition> from_json(const std::string& text);
};

/// Tables by the stream of a logical replication slot:
///
///     discover   catalog: tables, keys, columns
///     open       slot, judged or made; a snapshot for tables that have none
///     next       a table of the snapshot each, then runs of whole transactions
///     confirm    what the target holds may leave the server's log
///
/// A table without checkpoint is read in a snapshot that a slot exported, this pipeline's own when it is new, else a temporary
/// one: its consistent point divides what the snapshot has from what the stream brings. Checkpoints of tables move only with
/// their changes; the newest of them is where the stream goes on.
class ChangeSource : public flow::Source {
  public:
    explicit ChangeSource(ChangeSourceOptions options) : options_(std::move(options)) {}
    ~ChangeSource() override;

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override;

  private:
    struct Captured {
        std::optional<flow::ScanContext> context;
        Lsn from;
        std::shared_ptr<ChangeShapes> shapes = std::make_shared<ChangeShapes>();
    };

    const ChangesOptions& changes() const { return *options_.source.changes; }
    Status read_checkpoints(const std::vector<flow::TableRead>& tables);
    Status check_belongs(size_t table, const ChangePosition& position, const ChangePosition& newest) const;
    Status check_publication();
    Status check_published(const Publication& publication, const PublishedTable& published,
                           const TableRead& read) const;
    Status judge(int32_t own_pid);
    Status make_slot();
    Status take_snapshot(const SlotRequest& request, Session& replication);
    Status same_shape();
    Result<flow::Segment> snapshot_segment(size_t table);
    Status start_stream();
    Status check_left_out(const ChangeTable& table, const RelationMessage& message);
    Result<std::optional<flow::Segment>> stream_segment();
    Result<flow::Segment> take_segment();
    flow::Segment advance(Lsn reached);
    flow::Checkpoint checkpoint(size_t table) const;
    Status end_stream();

    ChangeSourceOptions options_;
    std::stop_token stop_;
    std::unique_ptr<Session> catalog_;
    SystemIdentity system_;
    ChangePlan plan_;
    std::vector<Captured> captured_;
    Lsn streamed_;  ///< where the stream is, once its segments are durable
    Lsn held_;      ///< the newest checkpoint of the target; 0 none
    std::string held_system_;
    int64_t held_timeline_ = 0;
    Lsn born_;
    std::unique_ptr<Snapshot> snapshot_;
    Lsn snapshot_at_;
    int64_t snapshot_micros_ = 0;
    std::vector<size_t> pending_;  ///< tables of the snapshot, the next one last
    Lsn drain_to_;
    std::unique_ptr<ChangeLog> log_;
    std::unique_ptr<ReplicationStream> stream_;
    std::unique_ptr<ChangePump> pump_;
    std::unique_ptr<OutputPlugin> plugin_;
    std::chrono::steady_clock::time_point advanced_at_ = std::chrono::steady_clock::now();
};

}  // namespace penstock::postgres
