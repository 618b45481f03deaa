// Reads every value of a table's column `v` twice, as PostgreSQL's text and as a snapshot reads it in binary, and compares
// the text's wire form with the latter, byte for byte: once for a target that holds all, once for one that holds least.
//
//     text_wire_oracle URL TABLE [SETTING=VALUE …]
//
// Prints {"compared": n, "nulls": n, "differing": [{"holds": …, "text": …, "converted": …, "sent": …}, …]}.

#include <fmt/format.h>
#include <libpq-fe.h>

#include <nlohmann/json.hpp>
#include <span>

#include "connect/postgres/text/text_wire.h"
#include "connect/postgres/types.h"

namespace {

using namespace penstock;
using namespace penstock::postgres;
using nlohmann::json;

constexpr size_t most_shown = 10;

enum Format { text, binary };

/// The server's answer as it came: values() of Rows are texts, these may be binary.
Result<Rows> read_values(Session& session, const std::string& expression, const std::string& table, Format format) {
    auto sql = fmt::format("SELECT {} FROM {} ORDER BY id", expression, table);
    Rows rows(PQexecParams(session.raw(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, format));
    if (PQresultStatus(rows.raw()) != PGRES_TUPLES_OK)
        return fail({.code = "query", .message = PQerrorMessage(session.raw())});
    return rows;
}

std::string_view value_at(const Rows& rows, int row) {
    return {PQgetvalue(rows.raw(), row, 0), static_cast<size_t>(PQgetlength(rows.raw(), row, 0))};
}

std::string hex(std::string_view bytes) {
    std::string out;
    for (char c : bytes.substr(0, 200)) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

struct Compared {
    size_t values = 0;
    size_t nulls = 0;
    json differing = json::array();

    void add(std::string_view holds, std::string_view value, const std::string& converted, std::string_view sent) {
        if (differing.size() == most_shown) return;
        differing.push_back(
            {{"holds", holds}, {"text", value.substr(0, 200)}, {"converted", converted}, {"sent", hex(sent)}});
    }
};

Status compare(Session& session, const std::string& table, const TypeCatalog& catalog, MappingRequest request,
               bool holds_all, Compared& compared) {
    data::Holds holds{.infinite_dates = holds_all, .end_of_day = holds_all, .timetz = holds_all, .interval = holds_all};
    config::TypePolicies policies;
    PN_TRY(auto mapping, map_type(request, {catalog, policies, holds, false}));
    PN_TRY(auto convert, TextToWire::make(request.type, catalog, holds));
    if (mapping.by_text && !convert.verbatim())
        return fail({.code = "by_text", .message = "the type table takes this type by text, TextToWire converts it"});
    PN_TRY(auto texts, read_values(session, "v", table, text));
    PN_TRY(auto sent, read_values(session, mapping.expression, table, binary));
    std::string wire;
    for (int row = 0; row < texts.count(); ++row) {
        if (texts.is_null(row, 0) != sent.is_null(row, 0))
            return fail({.code = "null", .message = fmt::format("row {} is NULL in one form only", row)});
        if (texts.is_null(row, 0)) {
            ++compared.nulls;
            continue;
        }
        ++compared.values;
        wire.clear();
        auto status = convert.convert(value_at(texts, row), wire);
        if (!status || wire != value_at(sent, row))
            compared.add(holds_all ? "all" : "least", value_at(texts, row), status ? hex(wire) : status.error().message,
                         value_at(sent, row));
    }
    return {};
}

Result<Compared> run(const std::string& url, const std::string& table, std::span<char*> settings) {
    ConnectionOptions options;
    options.url = Secret(url);
    options.name = "oracle";
    PN_TRY(auto session, Session::connect(options, "penstock/text_wire_oracle", {}));
    for (std::string setting : settings) {
        size_t equals = setting.find('=');
        PN_CHECK(session->execute(
            fmt::format("SET {} = {}", setting.substr(0, equals), quote_literal(setting.substr(equals + 1)))));
    }
    PN_TRY(auto column,
           session->query(
               "SELECT atttypid, atttypmod, attndims FROM pg_attribute WHERE attrelid = $1::regclass AND attname = 'v'",
               {table}));
    MappingRequest request{.table = table,
                           .column = "v",
                           .expression = "v",
                           .type = static_cast<Oid>(column.integer(0, 0)),
                           .modifier = static_cast<int32_t>(column.integer(0, 1)),
                           .dimensions = static_cast<int32_t>(column.integer(0, 2))};
    TypeCatalog catalog(*session);
    PN_CHECK(catalog.load({{request.type}}));
    Compared compared;
    for (bool holds_all : {true, false}) PN_CHECK(compare(*session, table, catalog, request, holds_all, compared));
    return compared;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        fmt::print(stderr, "usage: text_wire_oracle URL TABLE [SETTING=VALUE ...]\n");
        return 2;
    }
    auto compared = run(arguments[1], arguments[2], std::span(arguments + 3, arguments + count));
    if (!compared) {
        fmt::print(stderr, "{}\n", compared.error().text());
        return 1;
    }
    json out{{"compared", compared->values}, {"nulls", compared->nulls}, {"differing", compared->differing}};
    fmt::print("{}\n", out.dump(-1, ' ', false, json::error_handler_t::replace));
    return 0;
}
