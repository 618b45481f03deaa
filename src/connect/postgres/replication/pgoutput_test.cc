#include "connect/postgres/replication/pgoutput.h"

#include <algorithm>
#include <random>
#include <string>
#include <type_traits>

#include "connect/postgres/replication/test_pgoutput.h"

namespace penstock::postgres {
namespace {

using namespace std::string_view_literals;

/// A row of every kind of value there is, and the key of one.
Wire& put_row(Wire& to) {
    return to.u16(5).value('t', "text").byte('n').byte('u').value('b', "\0\xff"sv).value('t', "");
}
Wire& put_key(Wire& to) { return to.u16(5).value('t', "key").byte('n').byte('n').byte('n').byte('n'); }

struct Sample {
    char type;
    std::string bytes;
    bool stream = false;  ///< stands inside a stream block
    int protocol = 1;
    Streaming streaming = Streaming::off;

    PgoutputDecoder decoder() const {
        PgoutputDecoder out(protocol, streaming);
        if (stream) REQUIRE(out.decode(Wire().byte('S').u32(77).byte(1).out));
        return out;
    }
};

void add_changes(std::vector<Sample>& to, bool stream) {
    auto add = [&](Wire wire) {
        char type = wire.out.front();
        to.push_back({type, std::move(wire.out), stream, stream ? 2 : 1, stream ? Streaming::on : Streaming::off});
    };
    Wire relation = Wire().byte('R').xid(stream).u32(16396).text("public").text("events").byte('i').u16(2);
    relation.byte(1).text("id").u32(23).u32(0xffffffff).byte(0).text("name").u32(1043).u32(24);
    add(relation);
    add(Wire().byte('Y').xid(stream).u32(16388).text("").text("int4"));
    Wire insert = Wire().byte('I').xid(stream).u32(16396).byte('N');
    add(put_row(insert));
    Wire update = Wire().byte('U').xid(stream).u32(16396).byte('N');
    add(put_row(update));
    for (char old : {'K', 'O'}) {
        Wire moved = Wire().byte('U').xid(stream).u32(16396).byte(old);
        put_key(moved).byte('N');
        add(put_row(moved));
        Wire removed = Wire().byte('D').xid(stream).u32(16396).byte(old);
        add(put_key(removed));
    }
    add(Wire().byte('T').xid(stream).u32(2).byte(3).u32(16396).u32(16397));
    add(Wire().byte('M').xid(stream).byte(1).u64(0x1539000).text("prefix").u32(3).byte('\0').byte('\xff').byte('x'));
    add(Wire().byte('O').u64(0xABCDEF).text("elsewhere"));
}

std::vector<Sample> samples() {
    std::vector<Sample> out;
    add_changes(out, false);
    add_changes(out, true);
    auto add = [&](Wire wire, int protocol, Streaming streaming = Streaming::on, bool stream = false) {
        char type = wire.out.front();
        out.push_back({type, std::move(wire.out), stream, protocol, streaming});
    };
    auto prepared = [](Wire wire) { return wire.u64(0x100).u64(0x180).u64(0x2000).u32(77).text("gid one"); };
    add(Wire().byte('B').u64(0x100).u64(0x2000).u32(77), 1, Streaming::off);
    add(Wire().byte('C').byte(0).u64(0x100).u64(0x180).u64(0x2000), 1, Streaming::off);
    add(Wire().byte('S').u32(77).byte(1), 2);
    add(Wire().byte('E'), 2, Streaming::on, true);
    add(Wire().byte('c').u32(77).byte(0).u64(0x100).u64(0x180).u64(0x2000), 2);
    add(Wire().byte('A').u32(77).u32(78), 2);
    add(Wire().byte('A').u32(77).u32(78), 4);
    add(Wire().byte('A').u32(77).u32(78).u64(0x100).u64(0x2000), 4, Streaming::parallel);
    add(prepared(Wire().byte('b')), 3);
    add(prepared(Wire().byte('P').byte(0)), 3);
    add(prepared(Wire().byte('K').byte(0)), 3);
    add(prepared(Wire().byte('p').byte(0)), 3);
    add(Wire().byte('r').byte(0).u64(0x100).u64(0x180).u64(0x2000).u64(0x3000).u32(77).text("gid one"), 3);
    return out;
}

/// Only for messages without lists, which lie in the decoder.
template <class T>
T decoded(const Sample& sample) {
    auto decoder = sample.decoder();
    return decoded<T>(decoder, sample.bytes);
}

/// All views of a message, to see that none leads outside of it.
struct Views {
    std::string_view message;
    size_t seen = 0;

    void check(std::string_view view) {
        ++seen;
        if (view.empty() || view == "pg_catalog") return;
        if (view.data() < message.data() || view.data() + view.size() > message.data() + message.size())
            FAIL("a view leads outside of its message");
    }
    void check(const Tuple& tuple) {
        check(tuple.bytes);
        for (const auto& value : tuple.values) check(value.bytes);
    }
    void operator()(const Insert& m) { check(m.row); }
    void operator()(const Update& m) { check(m.row), check(m.old_row); }
    void operator()(const Delete& m) { check(m.old_row); }
    void operator()(const RelationMessage& m) {
        check(m.schema), check(m.name);
        for (const auto& column : m.columns) check(column.name);
    }
    void operator()(const TypeMessage& m) { check(m.schema), check(m.name); }
    void operator()(const LogicalMessage& m) { check(m.prefix), check(m.content); }
    void operator()(const Origin& m) { check(m.name); }
    void operator()(const RollbackPrepared& m) { check(m.gid); }
    template <class Other>
    void operator()(const Other& m) {
        if constexpr (std::is_base_of_v<PreparedTransaction, Other>) check(m.gid);
    }
};

void check_error(const Error& error) {
    CHECK(error.kind == ErrorKind::data);
    CHECK(error.code == "replication_protocol");
    CHECK(error.message.starts_with("the server's replication stream cannot be understood: "));
}

TEST_CASE("the samples are of all nineteen kinds") {
    std::string kinds;
    for (const auto& sample : samples())
        if (!kinds.contains(sample.type)) kinds += sample.type;
    std::ranges::sort(kinds);
    CHECK(kinds == "ABCDEIKMOPRSTUYbcpr");
}

TEST_CASE("changes are decoded, in a stream block with their transaction") {
    for (bool stream : {false, true}) {
        std::vector<Sample> of;
        add_changes(of, stream);
        uint32_t xid = stream ? 77 : 0;
        PgoutputDecoder relation_decoder = of[0].decoder();
        auto relation = decoded<RelationMessage>(relation_decoder, of[0].bytes);
        CHECK(fmt::format("{} {} {}.{} {}", relation.xid, relation.relation, relation.schema, relation.name,
                          relation.replica_identity) == fmt::format("{} 16396 public.events i", xid));
        REQUIRE(relation.columns.size() == 2);
        CHECK(relation.columns[0].key);
        CHECK(relation.columns[0].name == "id");
        CHECK(relation.columns[0].type_modifier == -1);
        CHECK_FALSE(relation.columns[1].key);
        CHECK(relation.columns[1].type == 1043);
        CHECK(relation.columns[1].type_modifier == 24);

        auto type = decoded<TypeMessage>(of[1]);
        CHECK(fmt::format("{} {} {}.{}", type.xid, type.type, type.schema, type.name) ==
              fmt::format("{} 16388 pg_catalog.int4", xid));

        const std::string row = "t=text n u b#2 t= ", key = "t=key n n n n ";
        auto decoder = of[2].decoder();
        auto insert = decoded<Insert>(decoder, of[2].bytes);
        CHECK(insert.xid == xid);
        CHECK(insert.relation == 16396);
        CHECK(shown(insert.row) == row);
        auto update = decoded<Update>(decoder, of[3].bytes);
        CHECK(update.old_kind == OldTuple::none);
        CHECK(update.old_row.values.empty());
        CHECK(shown(update.row) == row);
        for (size_t i : {4, 6}) {
            auto moved = decoded<Update>(decoder, of[i].bytes);
            CHECK(moved.old_kind == (i == 4 ? OldTuple::key : OldTuple::full));
            CHECK(shown(moved.old_row) + shown(moved.row) == key + row);
            auto removed = decoded<Delete>(decoder, of[i + 1].bytes);
            CHECK(removed.xid == xid);
            CHECK(removed.old_kind == moved.old_kind);
            CHECK(shown(removed.old_row) == key);
        }
        auto truncate = decoded<Truncate>(decoder, of[8].bytes);
        CHECK(truncate.cascade);
        CHECK(truncate.restart_identity);
        CHECK(std::vector(truncate.relations.begin(), truncate.relations.end()) == std::vector<uint32_t>{16396, 16397});
        auto message = decoded<LogicalMessage>(decoder, of[9].bytes);
        CHECK(message.xid == xid);
        CHECK(message.transactional);
        CHECK(message.lsn == 0x1539000);
        CHECK(message.prefix == "prefix");
        CHECK(message.content == "\0\xffx"sv);
        auto origin = decoded<Origin>(decoder, of[10].bytes);
        CHECK(origin.commit_lsn == 0xABCDEF);
        CHECK(origin.name == "elsewhere");
    }
}

TEST_CASE("the ends and turns of transactions are decoded") {
    std::vector<Sample> of = samples();
    auto all = [&](char type) {
        std::vector<const Sample*> out;
        for (const auto& sample : of)
            if (sample.type == type) out.push_back(&sample);
        return out;
    };
    auto begin = decoded<Begin>(*all('B')[0]);
    CHECK((begin.final_lsn == 0x100 && begin.committed_at == 0x2000 && begin.xid == 77));
    auto commit = decoded<Commit>(*all('C')[0]);
    CHECK((commit.commit_lsn == 0x100 && commit.end_lsn == 0x180 && commit.committed_at == 0x2000));
    auto start = decoded<StreamStart>(*all('S')[0]);
    CHECK((start.xid == 77 && start.first));
    auto stream_commit = decoded<StreamCommit>(*all('c')[0]);
    CHECK((stream_commit.xid == 77 && stream_commit.commit_lsn == 0x100 && stream_commit.end_lsn == 0x180));
    CHECK(stream_commit.committed_at == 0x2000);
    for (const auto* sample : all('A')) {
        auto abort = decoded<StreamAbort>(*sample);
        CHECK((abort.xid == 77 && abort.subxid == 78));
        CHECK(abort.abort_lsn ==
              (sample->streaming == Streaming::parallel ? std::optional<uint64_t>(0x100) : std::nullopt));
        CHECK(abort.aborted_at ==
              (sample->streaming == Streaming::parallel ? std::optional<int64_t>(0x2000) : std::nullopt));
    }
    auto check = [](const PreparedTransaction& prepared) {
        CHECK((prepared.lsn == 0x100 && prepared.end_lsn == 0x180 && prepared.at == 0x2000 && prepared.xid == 77));
        CHECK(prepared.gid == "gid one");
    };
    check(decoded<BeginPrepare>(*all('b')[0]));
    check(decoded<Prepare>(*all('P')[0]));
    check(decoded<CommitPrepared>(*all('K')[0]));
    check(decoded<StreamPrepare>(*all('p')[0]));
    auto rollback = decoded<RollbackPrepared>(*all('r')[0]);
    CHECK((rollback.prepare_end_lsn == 0x100 && rollback.end_lsn == 0x180 && rollback.prepared_at == 0x2000));
    CHECK((rollback.rolled_back_at == 0x3000 && rollback.xid == 77 && rollback.gid == "gid one"));
}

TEST_CASE("a message that is cut anywhere, or goes on after its end, is refused") {
    for (const auto& sample : samples()) {
        for (size_t length = 0; length < sample.bytes.size(); ++length) {
            std::vector<char> cut(sample.bytes.begin(), sample.bytes.begin() + static_cast<std::ptrdiff_t>(length));
            auto message = sample.decoder().decode({cut.data(), cut.size()});
            REQUIRE_MESSAGE(!message, fmt::format("{} of {} bytes of {}", length, sample.bytes.size(), sample.type));
            check_error(message.error());
        }
        auto message = sample.decoder().decode(sample.bytes + "x");
        REQUIRE_FALSE(message);
        check_error(message.error());
    }
}

TEST_CASE("bytes out of order are refused, and no view ever leads out of the message") {
    const unsigned seed = 4711;
    std::mt19937 random(seed);
    auto of = samples();
    size_t understood = 0, refused = 0, views = 0;
    for (int round = 0; round < 60'000; ++round) {
        const auto& sample = of[random() % of.size()];
        std::vector<char> bytes(sample.bytes.begin(), sample.bytes.end());
        for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
            size_t at = random() % bytes.size();
            switch (random() % 5) {
                case 0: bytes[at] = static_cast<char>(random()); break;
                case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
                case 2: bytes[at] = "\0\x7f\x80\xff"[random() % 4]; break;
                case 3:
                    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), static_cast<char>(random()));
                    break;
                default:
                    if (bytes.size() > 1) bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
        bytes.shrink_to_fit();  // so that the address sanitizer sees the first byte too many
        auto decoder = sample.decoder();
        auto message = decoder.decode({bytes.data(), bytes.size()});
        if (!message) {
            REQUIRE(message.error().code == "replication_protocol");
            ++refused;
            continue;
        }
        Views check{.message = {bytes.data(), bytes.size()}};
        std::visit(check, *message);
        views += check.seen;
        ++understood;
    }
    CHECK(understood > 5'000);
    CHECK(refused > 20'000);
    CHECK(views > 10'000);
}

TEST_CASE("errors say which message, what and where") {
    auto message_of = [](PgoutputDecoder decoder, const std::string& bytes) {
        auto message = decoder.decode(bytes);
        REQUIRE_FALSE(message);
        check_error(message.error());
        return message.error().message.substr(
            std::string_view("the server's replication stream cannot be understood: ").size());
    };
    PgoutputDecoder plain(1), streaming(2, Streaming::on), two_phase(3);
    CHECK(message_of(plain, "") == "a message is empty");
    CHECK(message_of(plain, "Zx") == "no message begins with 'Z'");
    CHECK(message_of(plain, "\x01x") == "no message begins with byte 1");
    CHECK(message_of(plain, Wire().byte('I').u32(7).byte('N').u16(1).byte('x').out) ==
          "in a message Insert: a value's kind is 'x' (at byte 8)");
    CHECK(message_of(plain, Wire().byte('I').u32(7).byte('K').u16(0).out) ==
          "in a message Insert: 'K' stands where 'N' was due (at byte 6)");
    CHECK(message_of(plain, Wire().byte('I').u32(7).byte('N').u16(1).byte('t').u32(0xffffffff).out) ==
          "in a message Insert: a length is negative (at byte 13)");
    CHECK(message_of(plain, Wire().byte('I').u32(7).byte('N').u16(1).byte('t').u32(0x7fffffff).out) ==
          "in a message Insert: it ends too early (at byte 13)");
    CHECK(message_of(plain, Wire().byte('I').u32(7).byte('N').u16(0xffff).byte('n').out) ==
          "in a message Insert: it ends too early (at byte 8)");
    CHECK(message_of(plain, Wire().byte('D').u32(7).byte('N').u16(0).out) ==
          "in a message Delete: 'N' stands where an old tuple was due (at byte 6)");
    CHECK(message_of(plain, Wire().byte('U').u32(7).byte('K').u16(0).byte('O').u16(0).out) ==
          "in a message Update: 'O' stands where a tuple was due (at byte 9)");
    CHECK(message_of(plain, Wire().byte('T').u32(0xffffffff).byte(0).u32(1).out) ==
          "in a message Truncate: it ends too early (at byte 6)");
    CHECK(message_of(plain, Wire().byte('R').u32(1).text("a").text("b").byte('z').u16(0).out) ==
          "in a message Relation: the replica identity is 'z' (at byte 10)");
    CHECK(message_of(plain, Wire().byte('B').u64(0).u64(1).u32(1).out) ==
          "in a message Begin: an LSN is zero (at byte 9)");
    CHECK(message_of(plain, Wire().byte('C').byte(4).u64(1).u64(1).u64(1).out) ==
          "in a message Commit: flags are 4 (at byte 2)");
    CHECK(message_of(plain, Wire().byte('B').u64(1).u64(1).u32(1).byte(0).out) ==
          "in a message Begin: 1 bytes follow its end (at byte 21)");
    CHECK(message_of(plain, Wire().byte('S').u32(1).byte(1).out) ==
          "a message Stream Start came in protocol version 1");
    CHECK(message_of(streaming, Wire().byte('r').out) == "a message Rollback Prepared came in protocol version 2");
    CHECK(message_of(two_phase, Wire().byte('p').out) ==
          "a message Stream Prepare came though no streaming was asked for");
    CHECK(message_of(streaming, "E") == "a message Stream Stop came outside of a stream block");
    REQUIRE(streaming.decode(Wire().byte('S').u32(1).byte(1).out));
    CHECK(message_of(streaming, Wire().byte('S').u32(1).byte(1).out) ==
          "a message Stream Start came inside a stream block");
    CHECK(message_of(streaming, Wire().byte('B').u64(1).u64(1).u32(1).out) ==
          "a message Begin came inside a stream block");
}

TEST_CASE("a stream block ends where it says, and changes after it have no transaction id") {
    PgoutputDecoder decoder(2, Streaming::on);
    auto start = Wire().byte('S').u32(77).byte(0).out;
    for (int round = 0; round < 2; ++round) {
        CHECK_FALSE(decoded<StreamStart>(decoder, start).first);
        CHECK(decoder.in_stream());
        Wire inside = Wire().byte('I').u32(78).u32(5).byte('N');
        auto insert = decoded<Insert>(decoder, put_row(inside).out);
        CHECK((insert.xid == 78 && insert.relation == 5));
        decoded<StreamStop>(decoder, "E");
        CHECK_FALSE(decoder.in_stream());
        Wire outside = Wire().byte('I').u32(5).byte('N');
        insert = decoded<Insert>(decoder, put_row(outside).out);
        CHECK((insert.xid == 0 && insert.relation == 5));
    }
}

TEST_CASE("a tuple that was kept as bytes is decoded again, and lists are used again") {
    PgoutputDecoder decoder(1);
    Wire first = Wire().byte('U').u32(5).byte('K');
    put_key(first).byte('N');
    put_row(first);
    auto update = decoded<Update>(decoder, first.out);
    const std::string kept(update.row.bytes), kept_old(update.old_row.bytes);
    const auto* values = update.row.values.data();
    const auto* old_values = update.old_row.values.data();
    update = decoded<Update>(decoder, first.out);
    CHECK(update.row.values.data() == values);
    CHECK(update.old_row.values.data() == old_values);

    std::vector<Tuple::Value> into;
    REQUIRE(decode_tuple(kept, into));
    CHECK(shown({.values = into}) == "t=text n u b#2 t= ");
    const auto* storage = into.data();
    REQUIRE(decode_tuple(kept_old, into));
    CHECK(shown({.values = into}) == "t=key n n n n ");
    CHECK(into.data() == storage);
    for (size_t length = 0; length < kept.size(); ++length) {
        auto status = decode_tuple(std::string_view(kept).substr(0, length), into);
        REQUIRE_FALSE(status);
        check_error(status.error());
    }
    CHECK_FALSE(decode_tuple(kept + "x", into));
    REQUIRE(decode_tuple(Wire().u16(0).out, into));
    CHECK(into.empty());
}

}  // namespace
}  // namespace penstock::postgres
