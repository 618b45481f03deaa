#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/capture/change_scan.h"
#include "connect/postgres/replication/pgoutput.h"
#include "connect/postgres/replication/replication_stream.h"

namespace penstock::postgres {

/// A captured table as the pump meets it.
struct PumpedTable {
    const ChangeTable* table = nullptr;
    std::shared_ptr<ChangeShapes> shapes;
};

struct PumpOptions {
    int protocol_version = 1;
    Streaming streaming = Streaming::off;
    uint64_t pause_bytes = uint64_t{64} << 20;  ///< of committed changes that wait: past it the server waits too
    /// Asked when a relation has columns that the table as it was planned has not: fine, or why the stream cannot go on.
    std::function<Status(const ChangeTable&, const RelationMessage&)> check_left_out;
};

/// Reads the stream into the log, on a thread of its own:
///
///     ReplicationStream -> PgoutputDecoder -> (which table, which shape) -> ChangeLog
///
/// so that the server decodes while the target is written.
class ChangePump {
  public:
    ChangePump(ReplicationStream& stream, ChangeLog& log, std::vector<PumpedTable> tables, PumpOptions options);
    ~ChangePump();
    ChangePump(const ChangePump&) = delete;
    ChangePump& operator=(const ChangePump&) = delete;

    struct State {
        Lsn reached;                 ///< all that committed before it is in the log, or was not for us
        std::optional<Error> error;  ///< the pump has stopped
    };
    /// Waits until something may have changed, at most so long.
    State wait(std::chrono::milliseconds most);

  private:
    struct Relation {
        size_t table = 0;
        uint32_t shape = 0;
        bool captured = false;
    };

    void run(std::stop_token stop);
    Status pump(std::stop_token stop);
    Status take(const ReplicationStream::Received& received);
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
    Status check_other(const RelationMessage& message) const;
    Result<const Relation*> relation(uint32_t oid) const;
    Status append(uint32_t subxid, const Relation& relation, Change change);
    Status committed(uint32_t xid, uint64_t commit_lsn, uint64_t end_lsn, int64_t committed_at);

    ReplicationStream& stream_;
    ChangeLog& log_;
    std::vector<PumpedTable> tables_;
    PumpOptions options_;
    PgoutputDecoder decoder_;
    std::unordered_map<uint32_t, Relation> relations_;
    std::optional<Begin> begun_;  ///< the transaction under way outside of stream blocks
    uint32_t streamed_ = 0;       ///< the one whose stream block is open
    bool committed_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    State state_;
    std::jthread thread_;
};

}  // namespace penstock::postgres
