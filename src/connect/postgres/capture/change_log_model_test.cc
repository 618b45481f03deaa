#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "connect/postgres/capture/test_change_log.h"

// Random sessions, with savepoints in savepoints, against a log with far too little memory and a model that keeps
// everything in lists and knows nothing but which subtransactions were aborted.

namespace penstock::postgres::change_log_test {
namespace {

struct ModelChange {
    uint32_t table, schema, sub;
    uint64_t statement;
    uint8_t flags;
    char op;
    std::string old_tuple, new_tuple;
};

struct Savepoint {
    uint32_t sub = 0;  ///< none until something is written
    std::vector<uint32_t> released;
};

struct Session {
    std::vector<ModelChange> changes;
    std::vector<Savepoint> savepoints;
    std::set<uint32_t> aborted;
    uint64_t statements = 0;
};

struct Expected {
    ChangeCommit commit;
    uint64_t ordinal;
    ModelChange change;
};

struct Committed {
    uint64_t lsn, end_lsn;
    int64_t time;
    std::map<uint32_t, std::vector<Expected>> tables;
    uint64_t records = 0, bytes = 0;
};

using TableChanges = std::map<uint32_t, std::vector<Expected>>;

/// What was taken, and what must be in it.
struct Reading {
    ChangeSegment segment;
    TableChanges expected;
};

class World {
  public:
    explicit World(uint64_t seed)
        : random_(seed),
          next_xid_(chance(4) ? 0xffff'ffff - below(300) : 3),
          tables_(1 + below(8)),
          longest_(chance(5) ? 3000 : 60),
          with_(std::array<size_t, 4>{0, 5'000, 60'000, 2'000'000}[below(4)], chance(4) ? 200'000 : uint64_t{1} << 30,
                std::array<size_t, 4>{512, 1024, 8192, 65536}[below(4)]) {}

    void live() {
        for (int i = 0; i < 1500; ++i) act();
        while (!open_.empty()) chance(2) ? commit() : abort();
        while (!queue_.empty()) take();
        while (!readings_.empty()) read();
        auto usage = with_.log->usage();
        CHECK(usage.disk_bytes == 0);
        CHECK(usage.open_bytes == 0);
        CHECK(usage.queued_bytes == 0);
        CHECK(with_.disk_in_truth() == 0);
    }

  private:
    void act() {
        switch (below(40)) {
            case 0: return begin();
            case 1: return open_.empty() ? begin() : commit();
            case 2: return chance(3) ? abort() : void();
            case 3: return chance(3) ? take() : void();
            case 4: return chance(2) ? read() : void();
            case 5:
            case 6: return savepoint();
            case 7: return release();
            case 8: return roll_back();
            default: return write();
        }
    }

    uint32_t new_xid() {
        while (next_xid_ < 3) ++next_xid_;  // the first three are never given out
        return next_xid_++;
    }

    void begin() {
        if (open_.size() >= 5) return;
        uint32_t xid = new_xid();
        REQUIRE(with_.log->begin(xid));
        open_[xid];
    }

    std::map<uint32_t, Session>::iterator any() {
        return std::next(open_.begin(), static_cast<ptrdiff_t>(below(open_.size())));
    }

    void write() {
        if (open_.empty()) return;
        auto chosen = any();
        auto& [xid, session] = *chosen;
        uint32_t sub = xid;
        for (auto& level : session.savepoints) {  // outer ones get their xid first
            if (level.sub == 0) level.sub = new_xid();
            sub = level.sub;
        }
        std::vector<ModelChange> changes;
        bool truncate = chance(30);
        for (uint32_t table = 0; table < tables_; ++table)
            if (truncate && chance(2)) changes.push_back(change(table, sub, session.statements, 't'));
        if (changes.empty()) changes.push_back(change(below(tables_), sub, session.statements, "cud"[below(3)]));
        std::vector<Change> given;
        for (const auto& each : changes)
            given.push_back({.table = each.table,
                             .op = each.op,
                             .flags = each.flags,
                             .schema = each.schema,
                             .old_tuple = each.old_tuple,
                             .new_tuple = each.new_tuple});
        uint32_t told = sub == xid && chance(2) ? 0 : sub;
        auto status = given.size() > 1 || given[0].op == 't' ? with_.log->truncate(xid, told, given)
                                                             : with_.log->append(xid, told, given[0]);
        if (!status) {  // the disk is small in some worlds
            REQUIRE(status.error().code == "spill_limit");
            CHECK(!with_.log->commit(xid, lsn_ + 1, lsn_ + 2, 0));
            with_.log->abort(xid);
            open_.erase(chosen);
            return;
        }
        ++session.statements;
        std::ranges::move(changes, std::back_inserter(session.changes));
    }

    ModelChange change(uint32_t table, uint32_t sub, uint64_t statement, char op) {
        auto text = [&] { return std::string(below(chance(20) ? longest_ : 30), static_cast<char>('a' + below(26))); };
        return {.table = table,
                .schema = below(3),
                .sub = sub,
                .statement = statement,
                .flags = static_cast<uint8_t>(below(4)),
                .op = op,
                .old_tuple = op == 'u' || op == 'd' ? text() : "",
                .new_tuple = op == 'u' || op == 'c' ? text() : ""};
    }

    void savepoint() {
        if (!open_.empty())
            if (auto& session = any()->second; session.savepoints.size() < 5) session.savepoints.emplace_back();
    }

    /// Its xid, and those of what was released into it.
    static std::vector<uint32_t> family(Savepoint& level) {
        auto out = std::move(level.released);
        if (level.sub != 0) out.push_back(level.sub);
        return out;
    }

    void release() {
        if (open_.empty()) return;
        auto& session = any()->second;
        if (session.savepoints.empty()) return;
        auto all = family(session.savepoints.back());
        session.savepoints.pop_back();
        if (!session.savepoints.empty()) std::ranges::copy(all, std::back_inserter(session.savepoints.back().released));
    }

    void roll_back() {
        if (open_.empty()) return;
        auto& [xid, session] = *any();
        if (session.savepoints.empty()) return;
        auto all = family(session.savepoints.back());
        session.savepoints.pop_back();
        if (chance(2)) std::ranges::shuffle(all, random_);
        for (uint32_t sub : all) {
            REQUIRE(with_.log->abort_sub(xid, sub));
            session.aborted.insert(sub);
        }
    }

    void abort() {
        if (open_.empty()) return;
        auto chosen = any();
        if (chance(2)) {
            with_.log->abort(chosen->first);
        } else {
            REQUIRE(with_.log->abort_sub(chosen->first, chosen->first));
        }
        open_.erase(chosen);
    }

    void commit() {
        auto chosen = any();
        auto& [xid, session] = *chosen;
        lsn_ += 1 + below(100);
        time_ += below(1000);
        Committed done{.lsn = lsn_, .end_lsn = lsn_ + 1, .time = time_};
        uint64_t ordinal = 0, statement = ~uint64_t{0};
        for (auto& each : session.changes) {
            if (session.aborted.contains(each.sub)) continue;
            if (statement != ~uint64_t{0} && each.statement != statement) ++ordinal;
            statement = each.statement;
            ++done.records;
            done.bytes += 24 + each.old_tuple.size() + each.new_tuple.size();
            done.tables[each.table].push_back({{.lsn = lsn_, .time = time_, .xid = xid}, ordinal, std::move(each)});
        }
        REQUIRE(with_.log->commit(xid, done.lsn, done.end_lsn, done.time));
        queue_.push_back(std::move(done));
        open_.erase(chosen);
    }

    void take() {
        SegmentLimits limits;
        if (chance(2)) limits.records = below(2000);
        if (chance(3)) limits.bytes = below(100'000);
        if (chance(3)) limits.span = std::chrono::microseconds(below(10'000));
        Reading reading{.segment = with_.take(limits), .expected = {}};
        uint64_t transactions = 0, records = 0, bytes = 0;
        int64_t first_time = queue_.empty() ? 0 : queue_.front().time;
        while (!queue_.empty()) {
            auto& next = queue_.front();
            if (transactions > 0 && (records + next.records > limits.records || bytes + next.bytes > limits.bytes ||
                                     next.time - first_time > limits.span.count()))
                break;
            ++transactions;
            records += next.records;
            bytes += next.bytes;
            CHECK(reading.segment.last_commit_lsn >= next.lsn);
            if (next.lsn == reading.segment.last_commit_lsn) {
                CHECK(reading.segment.end_lsn == next.end_lsn);
                CHECK(reading.segment.last_commit_time == next.time);
            }
            for (auto& [table, changes] : next.tables)
                std::ranges::move(changes, std::back_inserter(reading.expected[table]));
            queue_.pop_front();
        }
        CHECK(reading.segment.transactions == transactions);
        CHECK(reading.segment.records == records);
        CHECK(reading.segment.bytes == bytes);
        CHECK(with_.log->usage().queued_transactions == queue_.size());
        REQUIRE(reading.segment.runs.size() == reading.expected.size());
        readings_.push_back(std::move(reading));
        if (readings_.size() > 3) readings_.pop_front();  // left unread
    }

    void read() {
        if (readings_.empty()) return;
        auto reading = std::move(readings_.front());
        readings_.pop_front();
        auto expected = reading.expected.begin();
        for (auto& run : reading.segment.runs) {
            REQUIRE(run->table() == expected->first);
            CHECK(run->records() == expected->second.size());
            if (chance(3)) compare(*run, expected->second, true);
            compare(*run, expected->second, false);
            ++expected;
        }
    }

    /// Chunks are held for a while, as readers do.
    void compare(ChangeRun& run, const std::vector<Expected>& expected, bool look) {
        std::array<ChangeChunk, 3> chunks;
        std::array<size_t, 3> begins{};
        size_t seen = 0;
        auto check = [&](size_t which) {
            auto records = chunks[which].records();
            for (size_t i = 0; i < records.size(); ++i) REQUIRE(same(records[i], expected[begins[which] + i]));
        };
        size_t end = chance(10) ? below(expected.size() + 1) : expected.size();  // some are left unread
        for (size_t turn = 0; seen < end; ++turn) {
            check(turn % 3);
            REQUIRE((look ? run.look(chunks[turn % 3]) : run.next(chunks[turn % 3])));
            begins[turn % 3] = seen;
            seen += chunks[turn % 3].records().size();
            REQUIRE(!chunks[turn % 3].records().empty());
            REQUIRE(seen <= expected.size());
        }
        for (size_t i = 0; i < 3; ++i) check(i);
        if (seen < expected.size()) return;
        REQUIRE((look ? run.look(chunks[0]) : run.next(chunks[0])));
        CHECK(chunks[0].records().empty());
    }

    static bool same(const ChangeRecord& got, const Expected& expected) {
        const auto& change = expected.change;
        return got.commit.lsn == expected.commit.lsn && got.commit.time == expected.commit.time &&
               got.commit.xid == expected.commit.xid && got.ordinal == expected.ordinal && got.op == change.op &&
               got.flags == change.flags && got.schema == change.schema && got.old_tuple == change.old_tuple &&
               got.new_tuple == change.new_tuple;
    }

    uint32_t below(size_t end) { return static_cast<uint32_t>(random_() % std::max<size_t>(end, 1)); }
    bool chance(uint32_t one_in) { return below(one_in) == 0; }

    std::mt19937_64 random_;
    uint32_t next_xid_;
    uint32_t tables_;
    size_t longest_;
    Fixture with_;
    std::map<uint32_t, Session> open_;
    std::deque<Committed> queue_;
    std::deque<Reading> readings_;
    uint64_t lsn_ = 0;
    int64_t time_ = 0;
};

uint64_t number(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST_CASE("random sessions come back as a model without bounds has them") {
    uint64_t first = number("PENSTOCK_CHANGE_LOG_SEED", std::random_device{}());
    uint64_t worlds = std::getenv("PENSTOCK_CHANGE_LOG_SEED") ? 1 : number("PENSTOCK_CHANGE_LOG_WORLDS", 60);
    for (uint64_t seed = first; seed < first + worlds; ++seed) {
        INFO("repeat with PENSTOCK_CHANGE_LOG_SEED=" << seed);
        World(seed).live();
    }
}

}  // namespace
}  // namespace penstock::postgres::change_log_test
