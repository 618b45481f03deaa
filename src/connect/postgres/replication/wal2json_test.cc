#include "connect/postgres/replication/wal2json.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>
#include <string>

namespace penstock::postgres {
namespace {

using namespace std::string_literals;

std::string shown(std::span<const Wal2jsonColumn> columns) {
    std::string out;
    for (const auto& column : columns) {
        out += fmt::format(" {}", column.name);
        if (!column.type.empty()) out += fmt::format(":{}", column.type);
        if (!column.json.empty()) out += column.kind == 'n' ? "=NULL" : fmt::format("={}", column.text);
    }
    return out;
}

std::string shown(const Wal2jsonChange& change) {
    std::string out(1, change.action);
    if (!change.table.empty()) out += fmt::format(" {}.{}", change.schema, change.table);
    if (!change.columns.empty()) out += fmt::format(" new{}", shown(change.columns));
    if (!change.identity.empty()) out += fmt::format(" old{}", shown(change.identity));
    if (!change.primary_key.empty()) out += fmt::format(" key{}", shown(change.primary_key));
    if (change.action == 'M')
        out += fmt::format(" {}{}:{}", change.transactional ? "" : "apart ", change.prefix, change.content);
    return out;
}

void check_error(const Error& error) {
    CHECK(error.kind == ErrorKind::data);
    CHECK(error.code == "replication_protocol");
    CHECK(error.message.starts_with("a message of wal2json cannot be understood: "));
}

/// All changes of the messages, one a line, or what is wrong with them.
std::string changes_of(Wal2jsonFormat format, const std::vector<std::string_view>& messages) {
    Wal2jsonDecoder decoder(format);
    std::string out;
    Wal2jsonChange change;
    for (auto message : messages) {
        decoder.feed(message);
        for (;;) {
            auto got = decoder.next(change);
            if (!got) {
                check_error(got.error());
                return "error: " + got.error().message.substr(
                                       std::string_view("a message of wal2json cannot be understood: ").size());
            }
            if (!*got) break;
            out += shown(change) + "\n";
        }
    }
    return out;
}

std::string change_of(std::string_view message) {
    auto out = changes_of(Wal2jsonFormat::changes, {message});
    return out.substr(0, out.find('\n'));
}

/// An insert of one column, by the members that follow its name.
std::string column_of(std::string_view members) {
    auto out = change_of(fmt::format(R"({{"action":"I","table":"t","columns":[{{"name":"c",{}}}]}})", members));
    return out.starts_with("I .t new c") ? out.substr(10) : out;
}

// What wal2json 2.5 wrote on PostgreSQL 15.20 (recorded with pg_logical_slot_peek_changes).
constexpr std::string_view real_insert =
    R"({"action":"I","xid":728,"timestamp":"2026-11-21 07:04:39.043108-03:30","lsn":"0/1534A18","schema":"public","table":"Wide Näme","columns":[{"name":"a\"b","type":"text","value":"k\"1"},{"name":"c\\d","type":"integer","value":7}],"pk":[{"name":"a\"b","type":"text"}]})";
constexpr std::string_view real_update =
    R"({"action":"U","xid":733,"timestamp":"2026-11-21 07:04:39.044448-03:30","lsn":"0/1536850","schema":"public","table":"toasted","columns":[{"name":"id","type":"integer","value":9},{"name":"k","type":"integer","value":2}],"identity":[{"name":"id","type":"integer","value":1}],"pk":[{"name":"id","type":"integer"}]})";
constexpr std::string_view real_delete =
    R"({"action":"D","xid":733,"timestamp":"2026-11-21 07:04:39.044448-03:30","lsn":"0/1536A30","schema":"public","table":"toasted","identity":[{"name":"id","type":"integer","value":9}],"pk":[{"name":"id","type":"integer"}]})";
constexpr std::string_view real_truncate =
    R"({"action":"T","xid":735,"timestamp":"2026-11-21 07:04:39.054931-03:30","lsn":"0/1538700","schema":"public","table":"plain"})";
constexpr std::string_view real_message =
    R"({"action":"M","xid":null,"timestamp":null,"lsn":"0/1539128","transactional":false,"prefix":"heart beat","content":"bytes \n"})";
constexpr std::string_view real_begin =
    R"({"action":"B","xid":727,"timestamp":"2026-11-21 07:04:39.042603-03:30","lsn":"0/15349E8","nextlsn":"0/1534A18"})";
constexpr std::string_view real_commit =
    R"({"action":"C","xid":727,"timestamp":"2026-11-21 07:04:39.042603-03:30","lsn":"0/15349E8","nextlsn":"0/1534A18"})";
constexpr std::string_view real_all_options =
    R"({"action":"U","xid":733,"timestamp":"2026-11-21 07:04:39.044448-03:30","origin":0,"lsn":"0/15367B8","schema":"public","table":"toasted","columns":[{"name":"id","type":"integer","typeoid":23,"value":1,"optional":false,"position":1,"default":null},{"name":"k","type":"integer","typeoid":23,"value":2,"optional":true,"position":3,"default":null}],"identity":[{"name":"id","type":"integer","typeoid":23,"value":1}],"pk":[{"name":"id","type":"integer","typeoid":23}]})";

constexpr std::string_view real_transaction =
    R"({"xid":733,"nextlsn":"0/1536AA0","timestamp":"2026-11-21 07:04:39.044448-03:30","change":[{"kind":"update","schema":"public","table":"toasted","columnnames":["id","k"],"columntypes":["integer","integer"],"columnvalues":[9,2],"pk":{"pknames":["id"],"pktypes":["integer"]},"oldkeys":{"keynames":["id"],"keytypes":["integer"],"keyvalues":[1]}},{"kind":"delete","schema":"public","table":"toasted","pk":{"pknames":["id"],"pktypes":["integer"]},"oldkeys":{"keynames":["id"],"keytypes":["integer"],"keyvalues":[9]}}]})";
constexpr std::string_view real_lone_message =
    R"({"change":[{"kind":"message","transactional":false,"prefix":"heart beat","content":"bytes \n"}]})";
constexpr std::string_view real_empty =
    R"({"xid":726,"nextlsn":"0/1534660","timestamp":"2026-11-21 07:04:39.041839-03:30","change":[]})";
constexpr std::string_view pretty_transaction =
    "{\n\t\"xid\": 727,\n\t\"nextlsn\": \"0/1534A18\",\n\t\"timestamp\": \"2026-11-21 "
    "07:04:39.042603-03:30\",\n\t\"origin\": 0,\n\t\"change\": [\n\t\t{\n"
    "\t\t\t\"kind\": \"insert\",\n\t\t\t\"schema\": \"public\",\n\t\t\t\"table\": \"plain\",\n\t\t\t\"columnnames\": "
    "[\"id\", \"m\", \"by\"],\n"
    "\t\t\t\"columntypes\": [\"integer\", \"My Schema\".\"Mood\", \"bytea\"],\n\t\t\t\"columntypeoids\": [23, 16387, "
    "17],\n"
    "\t\t\t\"columnpositions\": [1, 10, 6],\n\t\t\t\"columnoptionals\": [false, true, true],\n\t\t\t\"columnvalues\": "
    "[1, \"ok\", \"00ff\"],\n"
    "\t\t\t\"pk\": {\n\t\t\t\t\"pknames\": [\"id\"],\n\t\t\t\t\"pktypes\": [\"integer\"]\n\t\t\t}\n\t\t}\n\t]\n}";

TEST_CASE("format 2: every kind of change") {
    CHECK(change_of(real_insert) == R"(I public.Wide Näme new a"b:text=k"1 c\d:integer=7 key a"b:text)");
    CHECK(change_of(real_update) == "U public.toasted new id:integer=9 k:integer=2 old id:integer=1 key id:integer");
    CHECK(change_of(real_delete) == "D public.toasted old id:integer=9 key id:integer");
    CHECK(change_of(real_truncate) == "T public.plain");
    CHECK(changes_of(Wal2jsonFormat::changes, {real_message}) == "M apart heart beat:bytes \n\n");
    CHECK(change_of(real_begin) == "B");
    CHECK(change_of(real_commit) == "C");
    CHECK(change_of(real_all_options) ==
          "U public.toasted new id:integer=1 k:integer=2 old id:integer=1 key id:integer");
    CHECK(change_of(R"({"action":"I","table":"bare","columns":[{"name":"id","value":1}]})") == "I .bare new id=1");
}

TEST_CASE("positions, times and transaction ids") {
    Wal2jsonDecoder decoder(Wal2jsonFormat::changes);
    Wal2jsonChange change;
    decoder.feed(real_begin);
    REQUIRE(decoder.next(change));
    CHECK(change.xid == 727);
    CHECK(change.lsn == 0x15349E8);
    CHECK(change.next_lsn == 0x1534A18);
    CHECK(change.committed_at == 848'572'479'042'603);  // 2026-11-21 10:34:39.042603 UTC
    REQUIRE(decoder.next(change));
    CHECK_FALSE(*decoder.next(change));

    decoder.feed(real_message);
    REQUIRE(decoder.next(change));
    CHECK_FALSE(change.xid);
    CHECK_FALSE(change.committed_at);
    CHECK_FALSE(change.next_lsn);
    CHECK(change.lsn == 0x1539128);

    decoder.feed(real_all_options);
    REQUIRE(decoder.next(change));
    REQUIRE(change.columns.size() == 2);
    CHECK(change.columns[0].type_oid == 23);
    CHECK(change.primary_key[0].type_oid == 23);

    Wal2jsonDecoder transactions(Wal2jsonFormat::transactions);
    transactions.feed(real_transaction);
    for (char action : {'B', 'U', 'D', 'C'}) {
        REQUIRE(transactions.next(change));
        CHECK(change.action == action);
        CHECK(change.xid == 733);
        CHECK(change.next_lsn == 0x1536AA0);
        CHECK(change.committed_at == 848'572'479'044'448);
        CHECK_FALSE(change.lsn);
    }
    CHECK_FALSE(*transactions.next(change));
}

TEST_CASE("numbers keep all of their digits") {
    for (const std::string number :
         {"12345678901234567890.123456789012345678901234567890", "-0", "1e-05", "0.10", "9223372036854775807",
          "-9223372036854775808", "1e+308", "1E400", "0.0000000000000000000000000000000000000001"})
        CHECK(column_of("\"value\":" + number) == "=" + number);
    auto huge = "1" + std::string(131071, '0') + "." + std::string(16383, '9');
    CHECK(column_of("\"value\":" + huge) == "=" + huge);
    for (auto wrong : {"NaN", "Infinity", "-Infinity", "01", "1.", "--1"})
        CHECK(column_of(fmt::format("\"value\":{}", wrong)).starts_with("error: "));
}

TEST_CASE("values become PostgreSQL's text") {
    CHECK(column_of(R"("value":null)") == "=NULL");
    CHECK(column_of(R"("value":true)") == "=t");
    CHECK(column_of(R"("value":false)") == "=f");
    CHECK(column_of(R"("value":"")") == "=");
    CHECK(column_of(R"("value":"null")") == "=null");
    CHECK(column_of(R"("value":"one \"quoted\" \\ back\t\u0001 ünï 漢 😀 \ud83d\ude00")") ==
          "=one \"quoted\" \\ back\t\x01 ünï 漢 😀 😀");
    CHECK(column_of(R"("value":"{\"a\": 1.10}")") == R"(={"a": 1.10})");
    CHECK(column_of("\"value\":\"\xff\"") == "=\xff");  // a SQL_ASCII database
    CHECK(column_of(R"("value":[1])").starts_with("error: a value is neither text nor number"));
}

TEST_CASE("texts with escapes are held however long and many they are") {
    std::string columns, expected = "I .t new";
    for (int i = 0; i < 300; ++i) {
        columns += fmt::format(R"({}{{"name":"n{}\"","value":"{}\n"}})", i == 0 ? "" : ",", i,
                               std::string(static_cast<size_t>(i), 'x'));
        expected += fmt::format(" n{}\"={}\n", i, std::string(static_cast<size_t>(i), 'x'));
    }
    auto message = fmt::format(R"({{"action":"I","table":"t","columns":[{}]}})", columns);
    CHECK(changes_of(Wal2jsonFormat::changes, {message, message}) == expected + "\n" + expected + "\n");
}

TEST_CASE("bytea gets its \\x back where the type is known") {
    CHECK(column_of(R"("type":"bytea","value":"00ff")") == R"(:bytea=\x00ff)");
    CHECK(column_of(R"("value":"00ff","type":"bytea")") == R"(:bytea=\x00ff)");
    CHECK(column_of(R"("typeoid":17,"value":"")") == R"(=\x)");
    CHECK(column_of(R"("type":"bytea","value":"\\xdead")") ==
          R"(:bytea=\xdead)");  // a domain, with include-domain-data-type
    CHECK(column_of(R"("type":"bytea","value":null)") == ":bytea=NULL");
    CHECK(column_of(R"("value":"00ff")") == "=00ff");
}

TEST_CASE("type names that are no JSON are forgiven") {
    CHECK(column_of(R"("type":"My Schema"."Mood","value":"ok")") == R"(:"My Schema"."Mood"=ok)");
    CHECK(column_of(R"("type":"My Schema".t(10,2),"value":"ok")") == R"(:"My Schema".t(10,2)=ok)");
    CHECK(column_of(R"("type":"a""b","value":"ok")") == R"(:"a""b"=ok)");
    CHECK(column_of(R"("type":"a,""}""b","value":"ok")") == R"(:"a,""}""b"=ok)");
    CHECK(column_of(R"("value":"ok","type":"S".t)") == R"(:"S".t=ok)");
    CHECK(column_of(R"("type":"Mood","value":"ok")") == ":Mood=ok");
    CHECK(column_of(R"("type":"\"My Schema\".\"Mood\"[]","value":"{}")") == R"(:"My Schema"."Mood"[]={})");
    CHECK(column_of(R"("type":mood,"value":"ok")").starts_with("error: a type has no name"));
}

TEST_CASE("format 1: a transaction's changes stand between its begin and its commit") {
    CHECK(changes_of(Wal2jsonFormat::transactions, {real_transaction, real_empty}) ==
          "B\n"
          "U public.toasted new id:integer=9 k:integer=2 old id:integer=1 key id:integer\n"
          "D public.toasted old id:integer=9 key id:integer\n"
          "C\nB\nC\n");
    CHECK(changes_of(Wal2jsonFormat::transactions, {pretty_transaction}) ==
          "B\nI public.plain new id:integer=1 m:\"My Schema\".\"Mood\"=ok by:bytea=\\x00ff key id:integer\nC\n");
    CHECK(changes_of(Wal2jsonFormat::transactions, {real_lone_message, real_empty}) ==
          "M apart heart beat:bytes \n\nB\nC\n");
    CHECK(
        changes_of(
            Wal2jsonFormat::transactions,
            {R"({"xid":736,"change":[{"kind":"message","transactional":true,"prefix":"pre","content":"content"}]})"}) ==
        "B\nM pre:content\nC\n");
    // A row of NULLs alone, with REPLICA IDENTITY FULL.
    CHECK(
        changes_of(
            Wal2jsonFormat::transactions,
            {R"({"change":[{"kind":"delete","schema":"public","table":"full_id","oldkeys":{"keynames":[],"keytypes":[],"keyvalues":[]}}]})"}) ==
        "B\nD public.full_id\nC\n");
}

TEST_CASE("format 1 in chunks: a transaction is spread over messages") {
    const std::vector<std::string_view> chunks{
        R"({"xid":733,"nextlsn":"0/1536AA0","timestamp":"2026-11-21 07:04:39.044448-03:30","change":[)",
        R"({"kind":"insert","schema":"public","table":"t","columnnames":["id"],"columnvalues":[1]})",
        R"(,{"kind":"insert","schema":"public","table":"t","columnnames":["id"],"columnvalues":[2]})",
        R"(,{"kind":"message","transactional":true,"prefix":"p","content":"c"})",
        "]}",
        real_lone_message,
        R"({"xid":734,"nextlsn":"0/1536AA8","change":[)",
        "]}"};
    CHECK(changes_of(Wal2jsonFormat::chunks, chunks) ==
          "B\nI public.t new id=1\nI public.t new id=2\nM p:c\nC\nM apart heart beat:bytes \n\nB\nC\n");
    CHECK(changes_of(Wal2jsonFormat::chunks, {real_transaction}) ==
          changes_of(Wal2jsonFormat::transactions, {real_transaction}));
    for (size_t message = 0; message < chunks.size(); ++message)
        for (size_t length = 0; length < chunks[message].size(); ++length) {
            auto cut = chunks;
            cut[message] = cut[message].substr(0, length);
            REQUIRE(changes_of(Wal2jsonFormat::chunks, cut).starts_with("error: "));
        }
    CHECK(changes_of(Wal2jsonFormat::transactions, {chunks[0]}).starts_with("error: "));
    CHECK(changes_of(Wal2jsonFormat::chunks, {chunks[0], chunks[2]}).starts_with("error: "));
    CHECK(changes_of(Wal2jsonFormat::chunks, {chunks[0], chunks[1], chunks[1]}).starts_with("error: "));
}

const std::vector<std::pair<Wal2jsonFormat, std::string_view>> whole_messages{
    {Wal2jsonFormat::changes, real_insert},
    {Wal2jsonFormat::changes, real_update},
    {Wal2jsonFormat::changes, real_delete},
    {Wal2jsonFormat::changes, real_truncate},
    {Wal2jsonFormat::changes, real_message},
    {Wal2jsonFormat::changes, real_begin},
    {Wal2jsonFormat::changes, real_commit},
    {Wal2jsonFormat::changes, real_all_options},
    {Wal2jsonFormat::transactions, real_transaction},
    {Wal2jsonFormat::transactions, real_empty},
    {Wal2jsonFormat::transactions, real_lone_message},
    {Wal2jsonFormat::transactions, pretty_transaction},
};

TEST_CASE("a message that is cut anywhere, or goes on after its end, is refused") {
    for (const auto& [format, message] : whole_messages) {
        for (size_t length = 0; length < message.size(); ++length) {
            std::vector<char> cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
            REQUIRE_MESSAGE(changes_of(format, {{cut.data(), cut.size()}}).starts_with("error: "),
                            fmt::format("{} bytes of {}", length, message));
        }
        CHECK(changes_of(format, {std::string(message) + "x"}).starts_with("error: "));
        CHECK(changes_of(format, {std::string(message) + " \n"}) == changes_of(format, {message}));
    }
}

TEST_CASE("any bytes are understood or refused") {
    const unsigned seed = 815;
    std::mt19937 random(seed);
    const std::string pool = "{}[]:,\"\\ 019-.eunt\0\xff"s;
    size_t understood = 0, refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        const auto& [format, message] = whole_messages[random() % whole_messages.size()];
        std::vector<char> bytes(message.begin(), message.end());
        for (unsigned changes = 1 + random() % 3; changes > 0; --changes) {
            size_t at = random() % bytes.size();
            switch (random() % 4) {
                case 0: bytes[at] = static_cast<char>(random()); break;
                case 1: bytes[at] = pool[random() % pool.size()]; break;
                case 2:
                    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), pool[random() % pool.size()]);
                    break;
                default: bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
        bytes.shrink_to_fit();  // so that the address sanitizer sees the first byte too many
        auto out = changes_of(random() % 8 == 0 ? Wal2jsonFormat::chunks : format, {{bytes.data(), bytes.size()}});
        (out.starts_with("error: ") ? refused : understood)++;
    }
    CHECK(understood > 2'000);
    CHECK(refused > 5'000);
}

TEST_CASE("errors say what is wrong and where") {
    auto of = [](std::string_view message) { return changes_of(Wal2jsonFormat::changes, {message}); };
    auto of_1 = [](std::string_view message) { return changes_of(Wal2jsonFormat::transactions, {message}); };
    CHECK(of("") == "error: it is not what wal2json writes (at byte 0)");
    CHECK(of("{}") == "error: it does not say what happened (at byte 2)");
    CHECK(of(R"({"action":"X"})") == "error: its action is unknown (at byte 13)");
    CHECK(of(R"({"action":"I","columns":[]})") == "error: a change names no table (at byte 27)");
    CHECK(of(R"({"action":"I","table":"t"})") == "error: a new row has no columns (at byte 26)");
    CHECK(of(R"({"action":"D","table":"t"})") == "error: a deleted row has no identity (at byte 26)");
    CHECK(of(R"({"action":"I","table":"t","columns":[{"name":"c"}]})") ==
          "error: a column lacks its name or value (at byte 49)");
    CHECK(of(R"({"action":"I","table":"t","columns":[{"value":1}]})") ==
          "error: a column lacks its name or value (at byte 48)");
    CHECK(of(R"({"action":"B","xid":-1})") == "error: the xid cannot be read (at byte 22)");
    CHECK(of(R"({"action":"B","lsn":"12"})") == "error: an LSN cannot be read (at byte 24)");
    CHECK(of(R"({"action":"B","timestamp":"yesterday"})") == "error: the timestamp cannot be read (at byte 37)");
    CHECK(of(R"({"action":"M","transactional":1,"prefix":"","content":""})")
              .starts_with("error: what is true or false is neither"));
    CHECK(of_1(R"({"xid":1})") == "error: a transaction has no list of changes (at byte 8)");
    CHECK(of_1(R"({"change":[{"kind":"upsert"}]})") == "error: its kind is unknown (at byte 27)");
    CHECK(of_1(R"({"change":[{"kind":"insert","table":"t","columnnames":["a","b"],"columnvalues":[1]}]})") ==
          "error: the lists of a row's columns differ in length (at byte 83)");
    CHECK(of_1(R"({"change":[{"kind":"insert","table":"t","columnnames":["a"],"columnvalues":[1,2]}]})")
              .starts_with("error: the lists"));
    CHECK(of_1(R"({"change":[{"kind":"insert","table":"t","columnnames":["a"]}]})").starts_with("error: the lists"));
    CHECK(of_1(R"({"change":[{"kind":"delete","table":"t"}]})").starts_with("error: a deleted row has no identity"));
    CHECK(of_1(std::string(real_transaction) + "{}") ==
          fmt::format("error: something follows its end (at byte {})", real_transaction.size()));
}

TEST_CASE("an open transaction keeps nothing of the message it began in") {
    Wal2jsonDecoder decoder(Wal2jsonFormat::chunks);
    Wal2jsonChange change;
    std::string shown_changes;
    for (std::string message : {R"({"xid":7,"schema":"x\"","table":"gone","nextlsn":"0/7","change":[)",
                                R"({"kind":"insert","table":"t","columnnames":["a"],"columnvalues":[1]})", "]}"}) {
        decoder.feed(message);
        for (auto got = decoder.next(change); got && *got; got = decoder.next(change))
            shown_changes += shown(change) + "\n";
        message.assign(message.size(), '#');
    }
    CHECK(shown_changes == "B\nI .t new a=1\nC\n");
}

}  // namespace
}  // namespace penstock::postgres
