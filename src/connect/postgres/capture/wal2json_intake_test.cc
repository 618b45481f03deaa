#include "connect/postgres/capture/wal2json_intake.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

namespace penstock::postgres {
namespace {

ReadColumn column(std::string name, uint32_t type, std::string shown, bool nullable = true, int32_t modifier = -1) {
    ReadColumn made;
    made.field = {.name = std::move(name), .nullable = nullable, .source_type = std::move(shown)};
    made.field.initial_unknown = false;
    made.type = type;
    made.modifier = modifier;
    return made;
}

/// public.t (id int PRIMARY KEY, n int, body text, price numeric(12,2) NOT NULL), and `twice` that is generated.
struct Fixture {
    ChangeTable table;
    std::shared_ptr<ChangeShapes> shapes = std::make_shared<ChangeShapes>();
    ChangeLog log{{}};
    std::unique_ptr<Wal2jsonIntake> intake;
    uint64_t lsn = 0x100;

    explicit Fixture(bool keyed = true) {
        table.read.schema = "public";
        table.read.relation = "t";
        table.read.info.name = "public.t";
        table.read.columns = {column("id", 23, "integer", false), column("n", 23, "integer"),
                              column("body", 25, "text"),
                              column("price", 1700, "numeric(12,2)", false, (12 << 16 | 2) + 4)};
        for (const auto& one : table.read.columns) table.read.info.schema.fields.push_back(one.field);
        if (keyed) table.key = {0};
        Wal2jsonTable about{.table = {.table = &table, .shapes = shapes},
                            .catalog = {.may_be_unsent = {false, false, true, true}, .generated = {"twice"}}};
        about.columns_now = [](const ChangeTable&, const RelationMessage&) { return CatalogNow(); };
        intake = std::make_unique<Wal2jsonIntake>(log, std::vector{about}, Wal2jsonFormat::changes);
    }

    std::string send(const std::string& message) {
        auto taken = intake->take({.payload = message});
        return taken ? fmt::format("{:X}", uint64_t{*taken}) : taken.error().code;
    }

    /// What one transaction leaves in the log: op, old tuple | new tuple, by the shape's columns.
    std::string transaction(const std::vector<std::string>& changes) {
        lsn += 0x100;
        send(fmt::format(
            R"({{"action":"B","xid":7,"timestamp":"2026-11-21 07:04:39+00","lsn":"0/{:X}","nextlsn":"0/{:X}"}})", lsn,
            lsn + 8));
        for (const auto& change : changes)
            if (auto said = send(change); said != "0") {
                log.abort(7);
                return said;
            }
        CHECK(send(fmt::format(
                  R"({{"action":"C","xid":7,"timestamp":"2026-11-21 07:04:39+00","lsn":"0/{:X}","nextlsn":"0/{:X}"}})",
                  lsn, lsn + 8)) == fmt::format("{:X}", lsn + 8));
        auto segment = log.take({});
        REQUIRE(segment);
        std::string out;
        for (const auto& run : segment->runs) {
            ChangeChunk chunk;
            REQUIRE(run->next(chunk));
            for (const auto& record : chunk.records()) {
                out += (out.empty() ? "" : "; ") + std::string(1, record.op);
                if ((record.flags & change_flag::full_old) != 0) out += " full";
                if ((record.flags & change_flag::moved_unsent) != 0) out += " moved";
                out += shown(record.old_tuple, record.schema) + (record.op == 'u' ? " ->" : "") +
                       shown(record.new_tuple, record.schema);
            }
        }
        return out;
    }

    std::string shown(std::string_view tuple, uint32_t shape) {
        if (tuple.empty()) return "";
        std::vector<Tuple::Value> values;
        REQUIRE(decode_tuple(tuple, values));
        const auto& columns = shapes->at(shape).columns;
        REQUIRE(values.size() == columns.size());
        std::string out;
        for (size_t i = 0; i < values.size(); ++i) {
            out += fmt::format(" {}=",
                               columns[i] < 0 ? "-" : table.read.columns[static_cast<size_t>(columns[i])].field.name);
            out += values[i].kind == 't' ? std::string(values[i].bytes) : values[i].kind == 'n' ? "NULL" : "unsent";
        }
        return out;
    }
};

constexpr const char* id = R"({"name":"id","type":"integer","typeoid":23,"value":)";
constexpr const char* n = R"({"name":"n","type":"integer","typeoid":23,"value":)";
constexpr const char* body = R"({"name":"body","type":"text","typeoid":25,"value":)";
constexpr const char* price = R"-({"name":"price","type":"numeric(12,2)","typeoid":1700,"value":)-";
constexpr const char* twice = R"({"name":"twice","type":"integer","typeoid":23,"value":)";

std::string change(char action, const std::string& columns, const std::string& identity = "",
                   const std::string& table = "t") {
    return fmt::format(R"({{"action":"{}","lsn":"0/1","schema":"public","table":"{}"{}{}}})", action, table,
                       columns.empty() ? "" : R"(,"columns":[)" + columns + "]",
                       identity.empty() ? "" : R"(,"identity":[)" + identity + "]");
}

std::string value(const char* name, const std::string& text) { return name + text + "}"; }

std::string row(const std::string& key, const std::string& number, const std::string& text, const std::string& cost) {
    std::string out = value(id, key) + "," + value(n, number);
    if (!text.empty()) out += "," + value(body, text);
    return out + "," + value(price, cost) + "," + value(twice, "0");
}

TEST_CASE("wal2json: rows are laid out as pgoutput does, generated columns left out") {
    Fixture capture;
    CHECK(capture.transaction({change('I', row("1", "null", R"("a\nb")", "1.50"))}) ==
          "c id=1 n=NULL body=a\nb price=1.50");
    CHECK(capture.transaction({change('U', row("1", "2", "", "1.50"), value(id, "1"))}) ==
          "u -> id=1 n=2 body=unsent price=1.50");
    CHECK(capture.transaction({change('U', row("3", "2", "", "1.50"), value(id, "1"))}) ==
          "u moved id=1 n=NULL body=NULL price=NULL -> id=3 n=2 body=unsent price=1.50");
    CHECK(
        capture.transaction({change('D', "", value(id, "3")), change('I', row("4", "1", "null", "1"), "", "other")}) ==
        "d id=3 n=NULL body=NULL price=NULL");
    CHECK(capture.transaction({change('U', row("1", "2", R"("x")", "2"), row("1", "1", R"("w")", "2"))}) ==
          "u full id=1 n=1 body=w price=2 -> id=1 n=2 body=x price=2");
}

TEST_CASE("wal2json: what comes first may be an update or a delete") {
    Fixture updated, deleted;
    CHECK(updated.transaction({change('U', value(id, "1") + "," + value(n, "2") + "," + value(price, "1"),
                                      value(id, "1"))}) == "u -> id=1 n=2 price=1 body=unsent");
    CHECK(updated.transaction({change('I', value(id, "1") + "," + value(n, "2") + "," + value(body, R"("b")") + "," +
                                               value(price, "1"))}) == "c id=1 n=2 price=1 body=b");
    CHECK(deleted.transaction({change('D', "", value(id, "1"))}) == "d id=1 n=NULL body=NULL price=NULL");
}

TEST_CASE("wal2json: a column that an insert has not, the table had not") {
    Fixture capture;
    CHECK(capture.transaction({change('I', value(id, "1") + "," + value(body, R"("b")") + "," + value(price, "1"))}) ==
          "c id=1 body=b price=1");
    REQUIRE(capture.shapes->at(0).missing.size() == 1);
    CHECK(capture.shapes->at(0).missing[0].column == 1);
    CHECK(capture.transaction({change('U', value(id, "1") + "," + value(price, "2"), value(id, "1"))}) ==
          "u -> id=1 body=unsent price=2");
    CHECK(capture.transaction({change('U', row("1", "5", "", "2"), value(id, "1"))}) ==
          "u -> id=1 n=5 price=2 body=unsent");
}

TEST_CASE("wal2json: types, identities and nulls that cannot be right end it") {
    auto narrowed = std::string(R"-({"name":"price","type":"numeric(12,0)","typeoid":1700,"value":1})-");
    CHECK(Fixture().transaction({change('I', value(id, "1") + "," + value(n, "1") + "," + value(body, "null") + "," +
                                                 narrowed)}) == "type_changed");
    CHECK(Fixture().transaction({change('U', row("1", "1", "null", "1"), value(n, "1"))}) == "identity_changed");
    CHECK(Fixture().transaction({change('U', row("1", "1", "null", "1"))}) == "identity_changed");
    CHECK(Fixture().transaction({change('I', row("1", "1", "null", "null"))}) == "special_number");
    Fixture keyless(false);
    CHECK(keyless.transaction({change('U', row("1", "1", "null", "1"), row("1", "2", "null", "1"))}) ==
          "u full id=1 n=2 body=NULL price=1 -> id=1 n=1 body=NULL price=1");
    CHECK(keyless.transaction({change('D', "", value(id, "1"))}) == "identity_changed");
}

TEST_CASE("wal2json: one truncate of several tables, and its order among changes") {
    Fixture capture;
    CHECK(capture.transaction({change('I', row("1", "1", "null", "1")), change('T', ""), change('T', "", "", "other"),
                               change('I', row("2", "1", "null", "1"))}) ==
          "c id=1 n=1 body=NULL price=1; t; c id=2 n=1 body=NULL price=1");
}

TEST_CASE("modifiers that types show") {
    CHECK(modifier_of(1700, "numeric(12,2)", 5) == (12 << 16 | 2) + 4);
    CHECK(modifier_of(1700, "numeric(3,-2)", 5) == (3 << 16 | (-2 & 0x7ff)) + 4);
    CHECK(modifier_of(1700, "numeric", 5) == -1);
    CHECK(modifier_of(1184, "timestamp(3) with time zone", 5) == 3);
    CHECK(modifier_of(1042, "character(9)", 5) == 13);
    CHECK(modifier_of(25, "text", 5) == 5);
}

}  // namespace
}  // namespace penstock::postgres
