#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/capture/change_position.h"
#include "connect/postgres/capture/change_pump.h"
#include "connect/postgres/capture/output_plugin.h"
#include "connect/postgres/capture/segment_pace.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/replication/slot_guard.h"
#include "connect/postgres/replication/slot_watch.h"
#include "connect/postgres/snapshot.h"
#include "flow/source.h"

namespace penstock::postgres {

/// What a change source works from; copied out of the configuration.
struct ChangeSourceOptions {
    ConnectionOptions connection;
    SourceOptions source;
    config::TypePolicies policies;
    data::Holds holds;
    bool light_commits = false;                 ///< of the target
    std::chrono::microseconds commit_every{0};  ///< by its options
    std::string pipeline;
    std::string purpose;  ///< application_name
    unsigned parallel = 1;
    uint64_t memory_bytes = 0;  ///< for changes that are not applied yet
    bool follow = false;        ///< go on when everything was read
};

/// Tables by the stream of a logical replication slot:
///
///     discover   catalog: tables, keys, columns
///     open       slot, judged or made; a snapshot for tables that have none
///     next       a table of the snapshot each, then runs of whole transactions
///     confirm    what the target holds may leave the server's log
///
/// A table without checkpoint is read in a snapshot that a slot exported, this pipeline's own when it is new, else a temporary
/// one: its consistent point divides what the snapshot has from what the stream brings. So is one whose changes the stream
/// cannot tell, instead of what the target has of it; where it can tell those up to the consistent point, they are taken before
/// the table is read. Checkpoints of tables move only with their changes; that of the stream
/// with every segment, and is where the stream goes on.
///
/// By file: change_source.cc the run; change_checkpoints.cc what is known of each table;
/// change_lookout.cc tables that come and go; change_publication.cc whether the
/// server sends it all; change_snapshot.cc, change_streaming.cc the two kinds of segments.
class ChangeSource : public flow::Source {
  public:
    explicit ChangeSource(ChangeSourceOptions options) : options_(std::move(options)) {}
    ~ChangeSource() override;

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status resume(std::optional<flow::Checkpoint> stream) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t table, const flow::Checkpoint& durable) override;
    Status confirm_stream(const flow::Checkpoint& durable) override;
    Result<std::optional<flow::Checkpoint>> set_aside(size_t table, const Error& error) override;

  private:
    enum class State {
        follows,  ///< its changes are applied as they come
        first,    ///< to be read: the target has nothing of it
        again,    ///< to be read instead of what the target has
        aside,    ///< left alone until somebody asks for it
    };
    struct Captured {
        std::optional<flow::ScanContext> context;
        Lsn from;
        std::shared_ptr<ChangeShapes> shapes = std::make_shared<ChangeShapes>();
        State state = State::follows;
        Trouble why = {};                      ///< of `again` and `aside`
        std::vector<KnownColumns> known = {};  ///< that changes still to come may have; oldest first
        bool by_hand = false;                  ///< somebody has asked for it to be read
    };

    const ChangesOptions& changes() const { return *options_.source.changes; }
    const std::string& name_of(size_t table) const { return plan_.tables[table].read.info.name; }

    Result<std::vector<flow::TableInfo>> look_at_tables();
    Status open_tables(const std::vector<flow::TableRead>& tables);

    // change_checkpoints.cc
    Status read_checkpoints(const std::vector<flow::TableRead>& tables);
    Result<std::optional<ChangePosition>> read_checkpoint(const flow::TableRead& read);
    StreamPosition newest_of(const std::map<size_t, ChangePosition>& positions) const;
    std::optional<Trouble> trouble_of(const flow::TableRead& read, const ChangePosition& position,
                                      const StreamPosition& stream) const;
    Status read_again(size_t table, Trouble why);
    ColumnsBy columns_by() const {
        return changes().plugin == ChangePlugin::pgoutput ? ColumnsBy::number : ColumnsBy::name;
    }
    void know(size_t table, Lsn at);
    void hold(const StreamPosition& stream);
    flow::Checkpoint checkpoint(size_t table) const;
    flow::Checkpoint stream_checkpoint() const;

    // change_lookout.cc
    Result<ChangePlan> plan_what_can_be();
    bool leave_out(const Error& error);
    Status say_what_is_gone();
    Status look_for_tables();
    Status look_for_partitions(Session& session);
    Status may_join(Session& session, const Relation& relation);

    // change_publication.cc
    Status check_publication();
    Status check_published(const Publication& publication, const PublishedTable& published,
                           const TableRead& read) const;
    Status same_columns(const TableRead& read) const;
    Status taken_out(size_t table);
    Status note_publication();
    Status publish(const std::vector<PublishedTable>& missing, bool exists);

    // change_snapshot.cc
    Status open_slot(Session& replication);
    Status take_snapshot(const SlotRequest& request, Session& replication);
    void catch_up_first();
    Status same_shape();
    void say_what_is_read() const;
    Result<flow::Segment> snapshot_segment(size_t table);

    // change_streaming.cc
    Status judge(int32_t own_pid);
    Result<Lsn> end_of_log();
    Status start_stream();
    void watch_slot();
    Result<CatalogNow> columns_now(const ChangeTable& table, const RelationMessage& message);
    bool caught_up(const ChangePump::State& state, const ChangeLogUsage& usage) const;
    Result<std::optional<flow::Segment>> stream_segment();
    Result<flow::Segment> take_segment();
    flow::Segment advance(Lsn reached);
    Result<std::optional<flow::Segment>> stream_failed(Error error);
    std::optional<size_t> table_of(const Error& error) const;
    Result<std::optional<flow::Segment>> last_words();
    Status end_stream();

    ChangeSourceOptions options_;
    std::stop_token stop_;
    std::unique_ptr<Session> catalog_;
    SystemIdentity system_;
    ChangePlan plan_;
    std::vector<TableShape> shapes_;  ///< when the run began
    Lsn shapes_at_;                   ///< the server's log then, or a little later
    std::vector<Captured> captured_;
    bool kept_ = false;                   ///< the target keeps the stream's own checkpoint
    std::optional<StreamPosition> last_;  ///< the one it had
    Lsn streamed_;                        ///< where the stream is, once its segments are durable
    Lsn durable_;                         ///< of that, what is
    Lsn held_;                            ///< the newest checkpoint of the target; 0 none
    std::string held_system_;
    int64_t held_timeline_ = 0;
    Lsn born_;
    std::unique_ptr<Snapshot> snapshot_;
    Lsn snapshot_at_;
    int64_t snapshot_micros_ = 0;
    std::vector<size_t> pending_;           ///< tables of the snapshot, the next one last
    std::vector<size_t> catching_up_;       ///< the same, but their changes up to the snapshot come first
    std::optional<Error> failure_;          ///< ends the run, once what next() gave before it is durable
    std::map<std::string, Trouble> unfit_;  ///< tables that cannot be captured as they are
    std::set<uint32_t> passed_over_;        ///< relations that were looked at and said something of
    std::atomic<bool> met_other_ = false;   ///< by the stream: a relation that is none of the tables
    std::chrono::steady_clock::time_point looked_at_ = std::chrono::steady_clock::now();
    bool told_ = false;  ///< that was given
    Lsn drain_to_;
    std::unique_ptr<ChangeLog> log_;
    std::unique_ptr<ReplicationStream> stream_;
    std::unique_ptr<ChangePump> pump_;
    SegmentPace pace_{options_.light_commits, options_.commit_every};
    std::unique_ptr<OutputPlugin> plugin_;
    std::unique_ptr<SlotWatch> watch_;
    std::chrono::steady_clock::time_point advanced_at_ = std::chrono::steady_clock::now();
};

/// Where the server's log ends for those who write into it; on a standby, as far as it was replayed.
Result<Lsn> log_position(Session& catalog);

}  // namespace penstock::postgres
