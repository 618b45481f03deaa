#include "connect/mysql/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace penstock::mysql {
namespace {

std::string backticked(const std::string& name) {
    std::string out = "`";
    for (char c : name) out += c == '`' ? "``" : std::string(1, c);
    return out + "`";
}

/// Schema (or "") and table.
std::pair<std::string, std::string> parts_of(const std::string& table) {
    auto dot = table.find('.');
    return dot == table.npos ? std::pair(std::string(), table) : std::pair(table.substr(0, dot), table.substr(dot + 1));
}

Error no_such_table(const state::Place& place, const std::string& table) {
    return {.kind = ErrorKind::refused,
            .code = "no_such_table",
            .message = fmt::format("there is no table {}, or none that this user may see", table),
            .where = place.shown,
            .hint = "make it, or GRANT SELECT on it"};
}

}  // namespace

std::string quote_name(const std::string& name) { return backticked(name); }

std::string quote_table(const std::string& table) {
    auto [schema, name] = parts_of(table);
    return schema.empty() ? backticked(name) : backticked(schema) + "." + backticked(name);
}

Result<std::unique_ptr<Tables>> Tables::open(const state::Place& place) {
    PN_TRY(auto connection, state::Connection::open_foreign(place));
    connection->set_patience(state::Connection::long_patience);
    return std::unique_ptr<Tables>(new Tables(std::move(connection)));
}

Result<std::vector<std::string>> Tables::columns(const std::string& table) {
    auto [schema, name] = parts_of(table);
    std::vector<std::string> names;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        names.clear();
        std::string column;
        soci::statement select =
            (sql.prepare << "SELECT column_name FROM information_schema.columns WHERE table_name = :name AND "
                            "table_schema = coalesce(nullif(:schema, ''), database()) ORDER BY ordinal_position",
             soci::use(name), soci::use(schema), soci::into(column));
        for (select.execute(); select.fetch();) names.push_back(column);
        return {};
    }));
    return names;
}

Result<std::vector<Row>> Tables::rows(const std::string& table, size_t most) {
    PN_TRY(auto names, columns(table));
    if (names.empty()) return fail(no_such_table(place(), table));
    std::vector<std::string> texts;
    for (const auto& name : names) texts.push_back(fmt::format("CAST({} AS CHAR)", backticked(name)));
    auto query = fmt::format("SELECT {} FROM {} ORDER BY {} LIMIT {}", fmt::join(texts, ", "), quote_table(table),
                             backticked(names.front()), most + 1);
    std::vector<Row> rows;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        rows.clear();
        std::vector<std::string> values(names.size());
        std::vector<soci::indicator> absent(names.size());
        soci::details::prepare_temp_type prepare = (sql.prepare << query);
        for (size_t i = 0; i < names.size(); ++i) prepare, soci::into(values[i], absent[i]);
        soci::statement select = prepare;
        for (select.execute(); select.fetch();) {
            Row& row = rows.emplace_back();
            for (size_t i = 0; i < names.size(); ++i)
                row[names[i]] = absent[i] == soci::i_ok ? std::optional(values[i]) : std::nullopt;
        }
        return {};
    }));
    if (rows.size() <= most) return rows;
    return fail({.kind = ErrorKind::refused,
                 .code = "table_too_long",
                 .message = fmt::format("{} has more than {} rows", table, most),
                 .where = place().shown,
                 .hint = "name a view with those that are meant"});
}

Status Tables::execute(const std::string& statement, const std::vector<std::string>& values) {
    return connection_->read([&](soci::session& sql) -> Status {
        soci::details::prepare_temp_type prepare = (sql.prepare << statement);
        for (const auto& value : values) prepare, soci::use(value);
        soci::statement prepared = prepare;
        prepared.execute(true);
        return {};
    });
}

}  // namespace penstock::mysql
