#include "transform/steps/step_sql.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/suggest.h"
#include "engine/sql.h"
#include "engine/types.h"
#include "transform/steps/exact_cast.h"
#include "transform/steps/lookups.h"

namespace penstock::steps {
namespace {

using config::Text;
using engine::quote_identifier;
using engine::quote_literal;

std::vector<std::string> names_of(const flow::TableInfo& info) {
    std::vector<std::string> names;
    for (const auto& field : info.schema.fields) names.push_back(field.name);
    return names;
}

/// Writes the SQL of one step.
class Writer {
  public:
    Writer(const config::Located<config::Step>& step, const flow::TableInfo& info, engine::Connection& connection)
        : step_(step), info_(info), connection_(connection) {
        made_.name = std::string(step.value.kind());
        made_.place = step.place.text();
        for (const auto& field : info.schema.fields) made_.same[field.name] = field.name;
    }

    Result<StepSql> write() {
        const auto& step = step_.value;
        if (!step.sql.empty()) sql(step.sql);
        if (!step.rename.empty()) PN_CHECK(rename(step.rename));
        if (!step.drop.empty()) PN_CHECK(drop(step.drop));
        if (!step.cast.empty()) PN_CHECK(cast(step.cast));
        if (step.filter) filter(*step.filter);
        if (step.mask) PN_CHECK(mask(*step.mask));
        if (step.hash) PN_CHECK(hash(*step.hash));
        if (step.lookup) PN_CHECK(lookup(*step.lookup));
        return std::move(made_);
    }

  private:
    Result<const data::Field*> field(const std::string& name, const config::Place& place) const {
        PN_TRY(size_t at, column_at(info_, name, place));
        return &info_.schema.fields[at];
    }

    void sql(const Text& query) {
        std::string text = query.value;
        while (!text.empty() && (text.back() == ';' || std::isspace(static_cast<unsigned char>(text.back())) != 0))
            text.pop_back();
        made_.query = text;
        made_.place = query.place.text();
        made_.guessed = true;
    }

    Status rename(const std::map<std::string, Text>& names) {
        std::string columns;
        made_.same.clear();
        for (const auto& [old, name] : names) PN_CHECK(field(old, name.place));
        for (const auto& field : info_.schema.fields) {
            auto found = names.find(field.name);
            const std::string& name = found == names.end() ? field.name : found->second.value;
            if (!made_.same.emplace(name, field.name).second)
                return fail(at_step(found == names.end() ? step_.place : found->second.place, "step_column_twice",
                                    fmt::format("{} would have two columns '{}'", info_.name, name),
                                    "choose a name that no other column has"));
            columns += fmt::format("{}{} AS {}", columns.empty() ? "" : ", ", quote_identifier(field.name),
                                   quote_identifier(name));
        }
        made_.query = fmt::format("SELECT {} FROM batch", columns);
        return {};
    }

    Status drop(const std::vector<Text>& names) {
        for (const auto& name : names) {
            PN_CHECK(field(name.value, name.place));
            made_.same.erase(name.value);
            made_.concealed.push_back(name.value);
        }
        std::vector<std::string> left;
        for (const auto& name : names_of(info_))
            if (made_.same.contains(name)) left.push_back(name);
        if (left.empty())
            return fail(at_step(step_.place, "step_drops_everything",
                                fmt::format("{} would be left without a column", info_.name), "drop fewer columns"));
        made_.query = fmt::format("SELECT {} FROM batch", engine::quote_list(left));
        return {};
    }

    Status cast(const std::map<std::string, Text>& types) {
        std::map<std::string, std::string> written;
        for (const auto& [name, type] : types) {
            PN_TRY(const auto* known, field(name, type.place));
            PN_TRY(auto target, sql_type_of(type));
            written[name] = exact_cast(quote_identifier(name), known->type, type.value, target, true);
        }
        replace(written);
        return {};
    }

    Result<data::Type> sql_type_of(const Text& text) const {
        auto described = engine::columns_of(connection_, fmt::format("SELECT CAST(NULL AS {}\n) AS v", text.value));
        if (described && described->size() == 1 && described->front().type) return *described->front().type;
        return fail(at_step(text.place, "step_type_unknown",
                            described ? fmt::format("no column of a target has the type {}", text.value)
                                      : fmt::format("'{}' is no type: {}", text.value, described.error().message),
                            "write a type as DuckDB does: BIGINT, DECIMAL(12,2), DATE, TIMESTAMP, VARCHAR"));
    }

    void filter(const config::FilterStep& filter) {
        made_.name = "filter " + filter.name.value;
        made_.place = filter.where.place.text();
        made_.query = fmt::format("SELECT * FROM batch WHERE ({}\n)", filter.where.value);
    }

    Status mask(const config::MaskStep& mask) {
        std::map<std::string, std::string> written;
        for (const auto& name : mask.columns) {
            PN_TRY(const auto* known, field(name.value, name.place));
            bool text = known->type.kind == data::Kind::text;
            if (!text && (mask.with == config::Mask::redact || mask.with == config::Mask::partial))
                return fail(at_step(name.place, "step_wants_text",
                                    fmt::format("'{}' of {} holds {}, and only text can be masked that way", name.value,
                                                info_.name, data::to_string(known->type)),
                                    "use with: sha256 or with: nullify"));
            written[name.value] = masked(mask, quote_identifier(name.value));
            made_.concealed.push_back(name.value);
        }
        replace(written);
        return {};
    }

    static std::string masked(const config::MaskStep& mask, const std::string& column) {
        switch (mask.with) {
            case config::Mask::sha256:
                return fmt::format("sha256({} || CAST({} AS VARCHAR))", quote_literal(mask.salt.reveal()), column);
            case config::Mask::redact: return fmt::format("CASE WHEN {} IS NOT NULL THEN '***' END", column);
            // A NULL of the column's type.
            case config::Mask::nullify: return fmt::format("CASE WHEN false THEN {} END", column);
            case config::Mask::partial:
                return fmt::format(
                    "CASE WHEN length({0}) > {1} THEN repeat('*', length({0}) - {1}) || right({0}, {1}) ELSE "
                    "repeat('*', "
                    "length({0})) END",
                    column, mask.keep);
        }
        std::unreachable();
    }

    Status hash(const config::HashStep& hash) {
        std::string values;
        for (const auto& name : hash.columns) {
            PN_CHECK(field(name.value, name.place));
            values += fmt::format("{}CAST({} AS VARCHAR)", values.empty() ? "" : ", ", quote_identifier(name.value));
        }
        if (info_.schema.find(hash.into.value) >= 0)
            return fail(at_step(hash.into.place, "step_column_twice",
                                fmt::format("{} has a column '{}' already", info_.name, hash.into.value),
                                "choose a name that no other column has"));
        made_.query = fmt::format("SELECT *, sha256({} || CAST(json_array({}) AS VARCHAR)) AS {} FROM batch",
                                  quote_literal(hash.salt.reveal()), values, quote_identifier(hash.into.value));
        return {};
    }

    Status lookup(const config::LookupStep& lookup) {
        std::string table = Lookups::table_of(lookup);
        PN_TRY(auto columns, engine::columns_of(connection_, "SELECT * FROM " + table));
        auto of_file = [&](const Text& name) -> Result<const engine::TargetColumn*> {
            auto found = std::ranges::find(columns, name.value, &engine::TargetColumn::name);
            if (found != columns.end()) return &*found;
            std::vector<std::string> names;
            for (const auto& column : columns) names.push_back(column.name);
            names.pop_back();  // penstock_found
            return fail(at_step(name.place, "lookup_column_missing",
                                fmt::format("the lookup file has no column '{}'{}", name.value,
                                            config::did_you_mean(name.value, names)),
                                fmt::format("its columns: {}", fmt::join(names, ", "))));
        };
        std::string on, added;
        for (const auto& [name, theirs] : lookup.on) {
            PN_TRY(const auto* own, field(name, theirs.place));
            PN_TRY(const auto* other, of_file(theirs));
            // Of two types the texts are compared: "7" finds 7.
            bool same = other->type && *other->type == own->type;
            std::string left = "batch." + quote_identifier(name), right = "found." + quote_identifier(theirs.value);
            if (!same) left = fmt::format("CAST({} AS VARCHAR)", left), right = fmt::format("CAST({} AS VARCHAR)", right);
            on += fmt::format("{}{} = {}", on.empty() ? "" : " AND ", left, right);
        }
        for (const auto& name : lookup.columns) {
            PN_CHECK(of_file(name));
            if (info_.schema.find(name.value) >= 0)
                return fail(at_step(name.place, "step_column_twice",
                                    fmt::format("{} has a column '{}' already", info_.name, name.value),
                                    "rename one of them, in the file or by a step before this one"));
            std::string value = "found." + quote_identifier(name.value);
            if (lookup.missing == config::LookupStep::Missing::reject)
                value = fmt::format(
                    "CASE WHEN found.penstock_found THEN {} ELSE error('the lookup file has no such key') END", value);
            added += fmt::format(", {} AS {}", value, quote_identifier(name.value));
        }
        bool filters = lookup.missing == config::LookupStep::Missing::filter;
        made_.query = fmt::format("SELECT batch.*{} FROM batch {} JOIN {} AS found ON {}", added, filters ? "" : "LEFT",
                                  table, on);
        return {};
    }

    /// The same columns, some of them by an expression.
    void replace(const std::map<std::string, std::string>& written) {
        std::string columns;
        for (const auto& name : names_of(info_)) {
            auto found = written.find(name);
            std::string comma = columns.empty() ? "" : ", ";
            if (found == written.end()) {
                columns += comma + quote_identifier(name);
                continue;
            }
            columns += fmt::format("{}{} AS {}", comma, found->second, quote_identifier(name));
            made_.same.erase(name);
            made_.replaced.push_back(name);
            made_.trials[name] = fmt::format("SELECT {} FROM batch", found->second);
        }
        made_.query = fmt::format("SELECT {} FROM batch", columns);
    }

    const config::Located<config::Step>& step_;
    const flow::TableInfo& info_;
    engine::Connection& connection_;
    StepSql made_;
};

}  // namespace

Result<StepSql> step_sql(const config::Located<config::Step>& step, const flow::TableInfo& info,
                         engine::Connection& connection) {
    return Writer(step, info, connection).write();
}

Result<size_t> column_at(const flow::TableInfo& info, const std::string& name, const config::Place& place) {
    int at = info.schema.find(name);
    if (at >= 0) return static_cast<size_t>(at);
    auto names = names_of(info);
    return fail(
        at_step(place, "step_column_missing",
                fmt::format("{} has no column '{}' at this step{}", info.name, name, config::did_you_mean(name, names)),
                fmt::format("its columns here: {}; a step for some tables only names them under `tables`",
                            fmt::join(names, ", "))));
}

Error at_step(const config::Place& place, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = place.text(),
            .hint = std::move(hint)};
}

}  // namespace penstock::steps
