#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "connect/postgres/capture/change_intake.h"
#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/replication/pgoutput.h"

namespace penstock::postgres {

struct PgoutputIntakeOptions {
    int protocol_version = 1;
    Streaming streaming = Streaming::off;
    ColumnsNow columns_now;  ///< asked when a relation has other columns than the table as it was planned
    /// Told of relations that are none of the tables.
    std::function<void()> met_other = [] {};
};

/// Messages of pgoutput. Tuples go into the log as they come; which table and which shape, relation messages say.
class PgoutputIntake : public ChangeIntake {
  public:
    PgoutputIntake(ChangeLog& log, std::vector<IntakeTable> tables, PgoutputIntakeOptions options);
    Result<Lsn> take(const ReplicationStream::Received& received) override;

  private:
    struct Relation {
        size_t table = 0;
        uint32_t shape = 0;
        bool captured = false;
    };

    Status on(const Begin& message);
    Status on(const Commit& message);
    Status on(const RelationMessage& message);
    Status on(const Insert& message);
    Status on(const Update& message);
    Status on(const Delete& message);
    Status on(const Truncate& message);
    Status on(const StreamStart& message);
    Status on(const StreamStop&);
    Status on(const StreamCommit& message);
    Status on(const StreamAbort& message);
    template <class Other>
    Status on(const Other&) {
        return {};
    }
    Result<ChangeShape> match(const IntakeTable& table, const RelationMessage& message) const;
    Result<ChangeShape> match_others(const IntakeTable& table, const RelationMessage& message,
                                     const KnownColumns* before) const;
    Lsn moment() const { return begun_ ? Lsn(begun_->final_lsn) : at_; }
    Status check_other(const RelationMessage& message) const;
    Result<const Relation*> relation(uint32_t oid) const;
    Status append(uint32_t subxid, const Relation& relation, Change change);
    Status committed(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t committed_at);

    ChangeLog& log_;
    std::vector<IntakeTable> tables_;
    PgoutputIntakeOptions options_;
    PgoutputDecoder decoder_;
    std::unordered_map<uint32_t, Relation> relations_;
    std::optional<Begin> begun_;  ///< the transaction under way outside of stream blocks
    uint32_t streamed_ = 0;       ///< the one whose stream block is open
    Lsn at_;                      ///< of the message at hand
    Lsn ended_;                   ///< of the transaction that the message at hand has ended
};

}  // namespace penstock::postgres
