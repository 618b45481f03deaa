#include "connect/postgres/replication/pgoutput.h"

#include <fmt/format.h>

#include "connect/postgres/replication/pgoutput_reader.h"

namespace penstock::postgres {
namespace {

/// Bits of flag bytes. PostgreSQL's own reader ignores the others, where it does not require zero.
constexpr uint8_t column_is_key = 1;
constexpr uint8_t message_is_transactional = 1;
constexpr uint8_t truncate_cascade = 1;
constexpr uint8_t truncate_restart_identity = 2;

Error broken_stream(std::string what) {
    return {.kind = ErrorKind::data,
            .code = "replication_protocol",
            .message = fmt::format("the server's replication stream cannot be understood: {}", what),
            .hint = "is there a proxy in between that is not PostgreSQL?"};
}

std::string_view name_of(char type) {
    switch (type) {
        case 'B': return "Begin";
        case 'C': return "Commit";
        case 'O': return "Origin";
        case 'R': return "Relation";
        case 'Y': return "Type";
        case 'I': return "Insert";
        case 'U': return "Update";
        case 'D': return "Delete";
        case 'T': return "Truncate";
        case 'M': return "Message";
        case 'S': return "Stream Start";
        case 'E': return "Stream Stop";
        case 'c': return "Stream Commit";
        case 'A': return "Stream Abort";
        case 'b': return "Begin Prepare";
        case 'P': return "Prepare";
        case 'K': return "Commit Prepared";
        case 'r': return "Rollback Prepared";
        case 'p': return "Stream Prepare";
        default: return {};
    }
}

/// The protocol version that brought a message.
int first_version(char type) {
    switch (type) {
        case 'S':
        case 'E':
        case 'c':
        case 'A': return 2;
        case 'b':
        case 'P':
        case 'K':
        case 'r':
        case 'p': return 3;
        default: return 1;
    }
}

RelationMessage read_relation(MessageReader& from, uint32_t xid, std::vector<RelationColumn>& columns) {
    RelationMessage out{.xid = xid, .relation = from.integer<uint32_t>(), .schema = from.schema(), .name = from.text()};
    out.replica_identity = from.integer<char>();
    if (from.ok() && !std::string_view("dnfi").contains(out.replica_identity))
        from.wrong(fmt::format("the replica identity is {}", shown_byte(out.replica_identity)));
    size_t count = from.integer<uint16_t>();
    if (count > from.left()) from.cut();
    columns.clear();
    for (size_t i = 0; i < count && from.ok(); ++i) {
        bool key = (from.integer<uint8_t>() & column_is_key) != 0;
        auto name = from.text();
        auto type = from.integer<uint32_t>();
        columns.push_back({key, name, type, from.integer<int32_t>()});
    }
    out.columns = columns;
    return out;
}

TypeMessage read_type(MessageReader& from, uint32_t xid) {
    return {.xid = xid, .type = from.integer<uint32_t>(), .schema = from.schema(), .name = from.text()};
}

void expect(MessageReader& from, char wanted) {
    char found = from.integer<char>();
    if (from.ok() && found != wanted)
        from.wrong(fmt::format("{} stands where {} was due", shown_byte(found), shown_byte(wanted)));
}

Insert read_insert(MessageReader& from, uint32_t xid, std::vector<Tuple::Value>& values) {
    Insert out{.xid = xid, .relation = from.integer<uint32_t>()};
    expect(from, 'N');
    out.row = from.tuple(values);
    return out;
}

Update read_update(MessageReader& from, uint32_t xid, std::vector<Tuple::Value>& old_values,
                   std::vector<Tuple::Value>& values) {
    Update out{.xid = xid, .relation = from.integer<uint32_t>()};
    char next = from.integer<char>();
    if (next == 'K' || next == 'O') {
        out.old_kind = OldTuple{next};
        out.old_row = from.tuple(old_values);
        next = from.integer<char>();
    }
    if (from.ok() && next != 'N') from.wrong(fmt::format("{} stands where a tuple was due", shown_byte(next)));
    out.row = from.tuple(values);
    return out;
}

Delete read_delete(MessageReader& from, uint32_t xid, std::vector<Tuple::Value>& old_values) {
    Delete out{.xid = xid, .relation = from.integer<uint32_t>()};
    char next = from.integer<char>();
    if (from.ok() && next != 'K' && next != 'O')
        from.wrong(fmt::format("{} stands where an old tuple was due", shown_byte(next)));
    out.old_kind = OldTuple{next};
    out.old_row = from.tuple(old_values);
    return out;
}

Truncate read_truncate(MessageReader& from, uint32_t xid, std::vector<uint32_t>& relations) {
    auto count = from.integer<uint32_t>();
    auto options = from.integer<uint8_t>();
    if (count > from.left() / sizeof(uint32_t)) from.cut();
    relations.clear();
    for (uint32_t i = 0; i < count && from.ok(); ++i) relations.push_back(from.integer<uint32_t>());
    return {.xid = xid,
            .cascade = (options & truncate_cascade) != 0,
            .restart_identity = (options & truncate_restart_identity) != 0,
            .relations = relations};
}

LogicalMessage read_message(MessageReader& from, uint32_t xid) {
    LogicalMessage out{.xid = xid, .transactional = (from.integer<uint8_t>() & message_is_transactional) != 0};
    out.lsn = from.integer<uint64_t>();
    out.prefix = from.text();
    out.content = from.counted();
    return out;
}

Begin read_begin(MessageReader& from) {
    return {.final_lsn = from.lsn(), .committed_at = from.integer<int64_t>(), .xid = from.integer<uint32_t>()};
}

Commit read_commit(MessageReader& from) {
    from.no_flags();
    return {.commit_lsn = from.lsn(), .end_lsn = from.lsn(), .committed_at = from.integer<int64_t>()};
}

Origin read_origin(MessageReader& from) { return {.commit_lsn = from.integer<uint64_t>(), .name = from.text()}; }

StreamStart read_stream_start(MessageReader& from) {
    return {.xid = from.integer<uint32_t>(), .first = from.integer<uint8_t>() == 1};
}

StreamCommit read_stream_commit(MessageReader& from) {
    auto xid = from.integer<uint32_t>();
    auto commit = read_commit(from);
    return {xid, commit.commit_lsn, commit.end_lsn, commit.committed_at};
}

StreamAbort read_stream_abort(MessageReader& from, Streaming streaming) {
    StreamAbort out{.xid = from.integer<uint32_t>(), .subxid = from.integer<uint32_t>()};
    if (streaming != Streaming::parallel) return out;
    out.abort_lsn = from.integer<uint64_t>();
    out.aborted_at = from.integer<int64_t>();
    return out;
}

PreparedTransaction read_prepared(MessageReader& from, bool flags) {
    if (flags) from.no_flags();
    return {.lsn = from.lsn(),
            .end_lsn = from.lsn(),
            .at = from.integer<int64_t>(),
            .xid = from.integer<uint32_t>(),
            .gid = from.text()};
}

RollbackPrepared read_rollback_prepared(MessageReader& from) {
    from.no_flags();
    return {.prepare_end_lsn = from.lsn(),
            .end_lsn = from.lsn(),
            .prepared_at = from.integer<int64_t>(),
            .rolled_back_at = from.integer<int64_t>(),
            .xid = from.integer<uint32_t>(),
            .gid = from.text()};
}

/// Messages that carry the (sub)transaction's id inside a stream block.
bool has_xid_in_stream(char type) { return std::string_view("RYIUDTM").contains(type); }

}  // namespace

PgoutputDecoder::PgoutputDecoder(int protocol_version, Streaming streaming)
    : protocol_version_(protocol_version), streaming_(streaming) {}

Status PgoutputDecoder::check_place(char type) const {
    auto name = name_of(type);
    if (name.empty()) return {};  // decode() refuses it
    auto refuse = [&](std::string_view why) {
        return fail(broken_stream(fmt::format("a message {} came {}", name, why)));
    };
    if (protocol_version_ < first_version(type))
        return refuse(fmt::format("in protocol version {}", protocol_version_));
    if (streaming_ == Streaming::off && std::string_view("SEcAp").contains(type))
        return refuse("though no streaming was asked for");
    bool changes = has_xid_in_stream(type) || type == 'O';
    if (in_stream_ && !changes && type != 'E') return refuse("inside a stream block");
    if (!in_stream_ && type == 'E') return refuse("outside of a stream block");
    return {};
}

Result<PgMessage> PgoutputDecoder::decode(std::string_view message) {
    if (message.empty()) return fail(broken_stream("a message is empty"));
    char type = message.front();
    PN_CHECK(check_place(type));
    MessageReader from(message, 1);
    uint32_t xid = in_stream_ && has_xid_in_stream(type) ? from.integer<uint32_t>() : 0;
    PgMessage out;
    switch (type) {
        case 'B': out = read_begin(from); break;
        case 'C': out = read_commit(from); break;
        case 'O': out = read_origin(from); break;
        case 'R': out = read_relation(from, xid, columns_); break;
        case 'Y': out = read_type(from, xid); break;
        case 'I': out = read_insert(from, xid, values_); break;
        case 'U': out = read_update(from, xid, old_values_, values_); break;
        case 'D': out = read_delete(from, xid, old_values_); break;
        case 'T': out = read_truncate(from, xid, relations_); break;
        case 'M': out = read_message(from, xid); break;
        case 'S': out = read_stream_start(from); break;
        case 'E': out = StreamStop{}; break;
        case 'c': out = read_stream_commit(from); break;
        case 'A': out = read_stream_abort(from, streaming_); break;
        case 'b': out = BeginPrepare{read_prepared(from, false)}; break;
        case 'P': out = Prepare{read_prepared(from, true)}; break;
        case 'K': out = CommitPrepared{read_prepared(from, true)}; break;
        case 'r': out = read_rollback_prepared(from); break;
        case 'p': out = StreamPrepare{read_prepared(from, true)}; break;
        default: return fail(broken_stream(fmt::format("no message begins with {}", shown_byte(type))));
    }
    if (auto wrong = from.finish(); !wrong.empty())
        return fail(broken_stream(fmt::format("in a message {}: {}", name_of(type), wrong)));
    if (type == 'S' || type == 'E') in_stream_ = type == 'S';
    return out;
}

Status decode_tuple(std::string_view bytes, std::vector<Tuple::Value>& into) {
    MessageReader from(bytes);
    from.tuple(into);
    if (auto wrong = from.finish(); !wrong.empty()) return fail(broken_stream(fmt::format("in a tuple: {}", wrong)));
    return {};
}

}  // namespace penstock::postgres
