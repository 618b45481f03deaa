#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <string>
#include <thread>

#include "connect/postgres/replication/replication_stream.h"
#include "connect/postgres/replication/slot.h"
#include "connect/postgres/throwaway_server.h"

namespace penstock::postgres {

// For tests of capture against a real server.

template <class T>
T must(Result<T> result) {
    REQUIRE_MESSAGE(result, (result ? "" : result.error().text()));
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// One server for all that does not stop it.
inline ThrowawayServer& server() {
    static ThrowawayServer made("max_wal_senders = 6\nmax_replication_slots = 6\n");
    return made;
}

inline std::unique_ptr<Session> session(Session::Channel channel = Session::Channel::ordinary,
                                        ThrowawayServer& at = server()) {
    return must(Session::connect(at.options(), "test", {}, channel));
}

inline void sql(const std::string& statement, ThrowawayServer& at = server()) {
    auto writing = session(Session::Channel::ordinary, at);
    must(writing->execute("SET default_transaction_read_only = off"));
    must(writing->execute(statement));
}

/// A table of its own, published and streamed by a slot of its own: all of one name.
struct Captured {
    std::string name;
    ThrowawayServer& at;
    std::unique_ptr<Session> creator;
    CreatedSlot created;

    explicit Captured(std::string called, ThrowawayServer& where = server()) : name(std::move(called)), at(where) {
        sql(fmt::format("CREATE TABLE {0} (id bigint PRIMARY KEY, text text); INSERT INTO {0} VALUES (-1, 'before'); "
                        "CREATE PUBLICATION {0} FOR TABLE {0}",
                        name),
            at);
        creator = session(Session::Channel::replication, at);
        created = must(create_slot(*creator, {.name = name}, {}));
    }
    ~Captured() {
        creator.reset();
        auto dropping = Session::connect(at.options(), "test", {});
        if (!dropping) return;  // the server is down
        for (int tries = 0; tries < 50; ++tries) {
            auto dropped = drop_slot(**dropping, name);
            if (dropped || dropped.error().code == "slot_missing") break;
            std::this_thread::sleep_for(
                std::chrono::milliseconds(20));  // the server may not have noticed yet that its reader is gone
        }
    }

    StreamRequest request(Lsn from = 0) const {
        return {.slot = name,
                .from = from,
                .options = {{"proto_version", "1"}, {"publication_names", name}},
                .purpose = "penstock/" + name};
    }
    std::unique_ptr<ReplicationStream> stream(Lsn from = 0, const std::string& more = "") const {
        return must(ReplicationStream::start(at.options("postgres", "postgres", more), request(from), {}));
    }
    std::string refusal(const std::string& user = "postgres", const std::string& database = "postgres") const {
        auto stream = ReplicationStream::start(at.options(database, user), request(), {});
        return stream ? "started" : stream.error().code;
    }
    void insert(int64_t from, int64_t to, const std::string& text = "'t'") const {
        sql(fmt::format("INSERT INTO {} SELECT i, {} FROM generate_series({}, {}) i", name, text, from, to), at);
    }
    SlotState state() const { return *must(find_slot(*session(Session::Channel::ordinary, at), name)); }
};

struct Counted {
    int64_t rows = 0, bytes = 0, commits = 0;
    Lsn last_commit;
};

/// Reads until so many rows were inserted and committed.
inline Counted read_rows(ReplicationStream& stream, int64_t rows, bool confirm = true) {
    Counted seen;
    ReplicationStream::Received message;
    bool open = false;
    while (seen.rows < rows || open) {
        auto got = must(stream.receive(message, std::chrono::seconds(20)));
        REQUIRE(got == ReplicationStream::Got::message);
        seen.bytes += static_cast<int64_t>(message.payload.size());
        if (message.payload[0] == 'B') open = true;
        if (message.payload[0] == 'I') ++seen.rows;
        if (message.payload[0] != 'C') continue;
        open = false;
        ++seen.commits;
        seen.last_commit = message.end_lsn;
        if (confirm) stream.confirm(message.end_lsn);
    }
    return seen;
}

}  // namespace penstock::postgres
