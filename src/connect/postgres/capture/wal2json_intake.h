#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connect/postgres/capture/change_intake.h"
#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/capture/wal2json_tuples.h"
#include "connect/postgres/replication/wal2json.h"

namespace penstock::postgres {

/// Messages of wal2json, either format. Tables are known by their names at the time of the change: changes of names that are
/// not captured are passed over.
///
/// Memory is that of one message: in format 2, and in format 1 in chunks, a change.
class Wal2jsonIntake : public ChangeIntake {
  public:
    Wal2jsonIntake(ChangeLog& log, std::vector<Wal2jsonTable> tables, Wal2jsonFormat format);
    Result<Lsn> take(const ReplicationStream::Received& received) override;

  private:
    struct Captured {
        uint32_t table;
        Lsn from;  ///< what committed before is not wanted
        Wal2jsonTuples tuples;
    };
    using Name = std::pair<std::string, std::string>;

    Status on(const Wal2jsonChange& change);
    Status commit(const Wal2jsonChange& change);
    Status truncate(const Wal2jsonChange& change);
    Status end_truncate();
    Captured* captured(const Wal2jsonChange& change);
    std::optional<uint64_t> commit_place(const Wal2jsonChange& change) const;

    ChangeLog& log_;
    Wal2jsonFormat format_;
    Wal2jsonDecoder decoder_;
    std::map<Name, Captured, std::less<>> tables_;
    Captured* last_ = nullptr;
    const Name* last_name_ = nullptr;
    bool begun_ = false;
    uint32_t xid_ = 0;
    uint64_t at_ = 0;                ///< of the transaction's commit
    std::vector<Change> truncated_;  ///< by one statement: each of its tables comes by itself, with one LSN
    uint64_t truncated_at_ = 0;
    Lsn ended_;
};

}  // namespace penstock::postgres
