#include "connect/bigquery/read_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/humane.h"
#include "base/letters.h"
#include "connect/bigquery/answer.h"
#include "connect/bigquery/read_text.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

Error no_table_name(const config::Text& name) {
    return {.kind = ErrorKind::configuration,
            .code = "bad_table",
            .message = fmt::format("\"{}\" is no table of BigQuery", name.value),
            .where = name.place.text(),
            .hint = "write dataset.table, or project.dataset.table for one of another project"};
}

double usd_of(int64_t bytes, double usd_per_tib) {
    return static_cast<double>(bytes) / static_cast<double>(int64_t{1} << 40) * usd_per_tib;
}

std::string price_of(int64_t bytes, double usd_per_tib) {
    return fmt::format("{:.4f} USD at {} USD a TiB", usd_of(bytes, usd_per_tib), usd_per_tib);
}

class Planner {
  public:
    Planner(Client& client, Jobs& jobs, const SourceOptions& options, const config::TypePolicies& policies,
            const data::Holds& holds, std::optional<int64_t> micros)
        : client_(client), jobs_(jobs), options_(options), policies_(policies), holds_(holds), micros_(micros) {}

    Result<std::vector<TableRead>> plan() {
        std::vector<TableRead> reads;
        if (!options_.query.empty()) {
            PN_TRY(auto read, query());
            reads.push_back(std::move(read));
            return reads;
        }
        std::vector<TableId> ids;
        if (!options_.table.empty()) {
            PN_CHECK(add(options_.table, ids));
        }
        for (const auto& pattern : options_.tables) PN_CHECK(add(pattern, ids));
        for (const auto& id : ids) {
            PN_TRY(auto read, table(id));
            reads.push_back(std::move(read));
        }
        if (!reads.empty()) return reads;
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_tables",
                     .message = "no table matches the source's `tables`",
                     .where = options_.connection.place.text(),
                     .hint = "patterns are dataset.table with * and ? in the table's name"});
    }

  private:
    /// A name, or the tables that a pattern stands for.
    Status add(const config::Text& name, std::vector<TableId>& ids) {
        auto id = table_id(client_.project(), name.value);
        if (!id || id->dataset.find_first_of("*?") != std::string::npos) return fail(no_table_name(name));
        if (id->table.find_first_of("*?") == std::string::npos) {
            push(*id, ids);
            return {};
        }
        std::string page;
        do {
            std::string path = fmt::format("/datasets/{}/tables?maxResults=1000{}", io::escape_url(id->dataset),
                                           page.empty() ? "" : "&pageToken=" + io::escape_url(page));
            PN_TRY(auto answer,
                   client_.call_in(id->project, "GET", path, nullptr, "list the tables of dataset " + id->dataset));
            page = text_of(*answer, "pageToken");
            auto listed = answer->find("tables");
            if (listed == answer->end() || !listed->is_array()) continue;
            for (const auto& one : *listed) {
                auto reference = one.find("tableReference");
                if (reference == one.end() || text_of(one, "type") != "TABLE") continue;
                TableId found{id->project, id->dataset, text_of(*reference, "tableId")};
                if (matches(found.table, id->table)) push(std::move(found), ids);
            }
        } while (!page.empty());
        return {};
    }

    void push(TableId id, std::vector<TableId>& ids) const {
        auto excluded = [&](const config::Text& pattern) {
            return matches(id.dotted(), pattern.value) || matches(id.project + "." + id.dotted(), pattern.value);
        };
        auto same = [&](const TableId& other) { return other.quoted() == id.quoted(); };
        if (std::ranges::any_of(options_.exclude, excluded) || std::ranges::any_of(ids, same)) return;
        ids.push_back(std::move(id));
    }

    Result<TableRead> table(const TableId& id) {
        PN_TRY(auto json, client_.call_in(id.project, "GET", id.path(), nullptr, "look at table " + id.dotted()));
        TableRead read;
        read.id = id;
        read.info.name = id.dotted();
        read.where = options_.where.value;
        std::string kind = text_of(*json, "type");
        read.by_storage = kind.empty() || kind == "TABLE" || kind == "SNAPSHOT";
        read.time_travels = kind.empty() || kind == "TABLE";
        read.info.estimated_rows = number_of(*json, "numRows", -1);
        read.info.estimated_bytes = number_of(*json, "numBytes", -1);
        if (!read.by_storage) read.info.estimated_rows = read.info.estimated_bytes = -1;
        if (auto constraints = json->find("tableConstraints"); constraints != json->end())
            if (auto key = constraints->find("primaryKey"); key != constraints->end() && key->contains("columns"))
                for (const auto& column : (*key)["columns"]) read.info.key.push_back(column.get<std::string>());
        PN_CHECK(add_columns(read, wire_columns(json->value("schema", Json::object()))));
        PN_CHECK(set_cursor(read));
        PN_CHECK(price(read));
        return read;
    }

    Result<TableRead> query() {
        TableRead read;
        read.info.name = "query";
        read.where = options_.where.value;
        read.query = options_.query.value;
        while (!read.query.empty() &&
               (std::isspace(static_cast<unsigned char>(read.query.back())) != 0 || read.query.back() == ';'))
            read.query.pop_back();
        read.time_travels = names_moment(options_);
        auto whole = read;
        whole.where.clear();
        PN_TRY(auto described, jobs_.describe(whole.select("", micros_, false, -1)));
        PN_CHECK(add_columns(read, std::move(described.columns)));
        PN_CHECK(set_cursor(read));
        PN_CHECK(price(read));
        return read;
    }

    Status add_columns(TableRead& read, std::vector<WireColumn> columns) {
        for (const auto& wanted : options_.columns) {
            if (std::ranges::any_of(columns, [&](const auto& c) { return same_name(c.name, wanted.value); })) continue;
            return fail(no_column(wanted, columns, read, "`columns`"));
        }
        ReadMapping mapping{.policies = policies_, .holds = holds_, .table = read.info.name};
        for (auto& column : columns) {
            auto wanted = [&](const config::Text& name) { return same_name(name.value, column.name); };
            if (!options_.columns.empty() && std::ranges::none_of(options_.columns, wanted)) continue;
            PN_TRY(auto field, read_field(column, mapping));
            read.info.schema.fields.push_back(std::move(field));
            read.columns.push_back(std::move(column));
        }
        auto left_out = [&](const std::string& name) { return read.info.schema.find(name) < 0; };
        if (std::ranges::any_of(read.info.key, left_out)) read.info.key.clear();
        if (!read.columns.empty()) return {};
        return fail({.kind = ErrorKind::schema,
                     .code = "no_columns",
                     .message = fmt::format("{} has no columns", read.info.name)});
    }

    static Error no_column(const config::Text& name, const std::vector<WireColumn>& columns, const TableRead& read,
                           const char* option) {
        std::vector<std::string> names;
        for (const auto& column : columns) names.push_back(column.name);
        std::string nearest = nearest_name(name.value, names);
        return {.kind = ErrorKind::configuration,
                .code = "no_such_column",
                .message = fmt::format("{} has no column {} for {}", read.info.name, name.value, option),
                .where = name.place.text(),
                .hint = nearest.empty() ? fmt::format("its columns are {}", fmt::join(names, ", "))
                                        : fmt::format("did you mean {}?", nearest)};
    }

    Status set_cursor(TableRead& read) {
        const auto& name = options_.cursor;
        if (name.empty()) return {};
        auto& cursor = read.cursor;
        for (size_t i = 0; i < read.columns.size(); ++i)
            if (same_name(read.columns[i].name, name.value)) cursor.column = static_cast<int>(i);
        if (!cursor.any()) return fail(no_column(name, read.columns, read, "the cursor"));
        const auto& field = read.info.schema.fields[static_cast<size_t>(cursor.column)];
        PN_TRY(cursor.kind, cursor_kind(field, read.info.name, name));
        cursor.name = field.name;
        cursor.scale = field.type.scale;
        cursor.nullable = field.nullable;
        PN_TRY(cursor.lag, cursor_lag(cursor, options_.cursor_lag));
        read.info.cursor = field.name;
        if (options_.cursor_lag.empty())
            read.info.notes.push_back(
                "rows that become visible late, below the largest cursor read before, are not found; set cursor_lag");
        return {};
    }

    /// What the read will cost, for `plan`.
    Status price(TableRead& read) {
        const auto& connection = client_.options();
        bool storage = read.by_storage && options_.read != ReadBy::rest && !options_.batch_rows;
        if (storage) {
            if (read.info.estimated_bytes < 0) return {};
            // Storage Read has a price of its own; no query's bytes are billed.
            read.charge = {.usd = usd_of(read.info.estimated_bytes, connection.usd_per_tib_read)};
            read.info.notes.push_back(fmt::format("Storage Read of the whole table: at most {}, {}",
                                                  humane_bytes(static_cast<uint64_t>(read.info.estimated_bytes)),
                                                  price_of(read.info.estimated_bytes, connection.usd_per_tib_read)));
            return {};
        }
        PN_TRY(int64_t bytes, jobs_.estimate(read.select("", micros_, options_.batch_rows.has_value(), -1)));
        if (read.info.estimated_bytes < 0) read.info.estimated_bytes = bytes;
        read.charge = {.bytes_billed = bytes, .usd = usd_of(bytes, connection.usd_per_tib)};
        read.info.notes.push_back(fmt::format("a query that reads everything bills about {}: {}",
                                              humane_bytes(static_cast<uint64_t>(bytes)),
                                              price_of(bytes, connection.usd_per_tib)));
        return {};
    }

    Client& client_;
    Jobs& jobs_;
    const SourceOptions& options_;
    const config::TypePolicies& policies_;
    const data::Holds& holds_;
    std::optional<int64_t> micros_;
};

}  // namespace

std::vector<std::string> TableRead::names() const {
    std::vector<std::string> out;
    for (const auto& column : columns) out.push_back(column.name);
    return out;
}

std::string TableRead::restriction(const std::string& condition) const {
    // A line comment at the end of the user's condition must not swallow the bracket.
    std::string out = where.empty() ? "" : fmt::format("({}\n)", where);
    if (!condition.empty()) out += fmt::format("{}({})", out.empty() ? "" : " AND ", condition);
    return out;
}

bool names_moment(const SourceOptions& options) { return options.query.value.find("@as_of") != std::string::npos; }

std::string timestamp_literal(int64_t micros) { return "TIMESTAMP " + quote_literal(datetime_text(micros) + "+00"); }

Query TableRead::select(const std::string& condition, std::optional<int64_t> micros, bool ordered,
                        int64_t limit) const {
    std::string from = id.quoted();
    if (time_travels && micros) from += " FOR SYSTEM_TIME AS OF " + timestamp_literal(*micros);
    if (!query.empty()) from = fmt::format("(\n{}\n)", query);
    Query out{.sql = fmt::format("SELECT {} FROM {}", columns.empty() ? "*" : quote_list(names()), from),
              .what = "read " + (query.empty() ? id.dotted() : "the source's query")};
    std::string restricted = restriction(condition);
    if (!restricted.empty()) out.sql += " WHERE " + restricted;
    if (ordered) out.sql += " ORDER BY " + quote_identifier(cursor.name);
    if (limit >= 0) out.sql += fmt::format(" LIMIT {}", limit);
    if (!query.empty() && time_travels)
        out.parameters.push_back({"as_of", "TIMESTAMP", datetime_text(*micros) + "+00"});
    return out;
}

Result<std::vector<TableRead>> plan_reads(Client& client, Jobs& jobs, const SourceOptions& options,
                                          const config::TypePolicies& policies, const data::Holds& holds,
                                          std::optional<int64_t> micros) {
    return Planner(client, jobs, options, policies, holds, micros).plan();
}

}  // namespace penstock::bigquery
