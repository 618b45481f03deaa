#include "connect/duckdb/schema_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/humane.h"
#include "connect/duckdb/widening.h"
#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_identifier;
using flow::Mode;
using flow::SchemaChange;
using flow::SchemaDecision;

const data::Field* recorded_field(const TargetTable& found, std::string_view name) {
    if (!found.recorded) return nullptr;
    for (const auto& field : found.recorded->fields)
        if (same_name(field.name, name)) return &field;
    return nullptr;
}

/// Walks the source's fields once, deciding each, on a working copy of the target's columns.
class Comparison {
  public:
    Comparison(const flow::TableTarget& target, const TargetTable& found)
        : target_(target), found_(found), table_(found.name.quoted()), columns_(found.columns) {}

    Shape run() {
        if (!found_.recorded)
            decide({.change = "table_adopted",
                    .decision = "applied",
                    .detail = "the table was there before; its columns are matched by name"});
        for (size_t i = 0; i < fields().size(); ++i) recognise_rename(fields()[i]);
        for (size_t i = 0; i < fields().size(); ++i) place(i);
        for (const auto& column : columns_) leave(column);
        return std::move(shape_);
    }

  private:
    const std::vector<data::Field>& fields() const { return target_.info.schema.fields; }
    void decide(SchemaDecision decision) { shape_.decisions.push_back(std::move(decision)); }
    std::string alter(std::string_view what) const { return fmt::format("ALTER TABLE {} {}", table_, what); }

    engine::TargetColumn* column(std::string_view name) {
        for (auto& candidate : columns_)
            if (same_name(candidate.name, name)) return &candidate;
        return nullptr;
    }

    /// The target columns that have carried a source column: x, x__v2, x__v3 … newest first.
    std::vector<engine::TargetColumn*> versions(const std::string& name) {
        std::vector<engine::TargetColumn*> found;
        if (auto* first = column(name)) found.push_back(first);
        for (int version = 2;; ++version) {
            std::string next = fmt::format("{}__v{}", name, version);
            auto* candidate = column(next);
            if (candidate == nullptr || has_field(target_.info.schema, next)) break;
            found.insert(found.begin(), candidate);
        }
        return found;
    }

    void recognise_rename(const data::Field& field) {
        if (field.source_id == 0 || recorded_field(found_, field.name) != nullptr || column(field.name) != nullptr)
            return;
        if (!found_.recorded) return;
        for (const auto& before : found_.recorded->fields) {
            if (before.source_id != field.source_id || has_field(target_.info.schema, before.name)) continue;
            auto known = versions(before.name);
            if (!known.empty()) rename(before.name, *known.front(), field.name);
            return;
        }
    }

    void rename(const std::string& before, engine::TargetColumn& column, const std::string& name) {
        SchemaDecision decision{
            .column = name,
            .change = "column_renamed",
            .decision = "applied",
            .sql = alter(fmt::format("RENAME COLUMN {} TO {}", quote_identifier(column.name), quote_identifier(name))),
            .detail = fmt::format("column {} of the source is now called {}", before, name)};
        if (target_.schema_change == SchemaChange::evolve) {
            column.name = name;
            renamed_.insert(before);
        } else {
            decision.decision = target_.schema_change == SchemaChange::freeze ? "ignored" : "refused";
            decision.sql.clear();
            renamed_away_.insert(name);
        }
        decide(std::move(decision));
    }

    void place(size_t index) {
        const auto& field = fields()[index];
        auto known = versions(field.name);
        if (known.empty()) return add(index);
        for (auto* candidate : known)
            if (candidate->type && holds(*candidate->type, field.type)) return carry(index, *candidate);
        auto& newest = *known.front();
        if (newest.type && holds(field.type, *newest.type)) return widen(index, newest);
        replace_type(index, newest);
    }

    void carry(size_t index, const engine::TargetColumn& into, bool fresh = false) {
        const auto& field = fields()[index];
        shape_.columns.push_back({.field = index,
                                  .source = field.name,
                                  .name = into.name,
                                  .type = *into.type,
                                  .cast = *into.type != field.type,
                                  .fresh = fresh});
        carried_.insert(into.name);
    }

    std::string add_column(const std::string& name, const data::Type& type) const {
        return alter(fmt::format("ADD COLUMN {} {}", quote_identifier(name), engine::sql_type(type)));
    }

    /// Rows already there get the value that the source's own rows got when the column was added.
    std::string add_with_initial(const data::Field& field) const {
        if (!field.initial) return add_column(field.name, field.type);
        auto name = quote_identifier(field.name);
        return fmt::format("{} DEFAULT CAST({} AS {}); {}", add_column(field.name, field.type),
                           engine::quote_literal(*field.initial), engine::sql_type(field.type),
                           alter(fmt::format("ALTER COLUMN {} DROP DEFAULT", name)));
    }

    void add(size_t index) {
        const auto& field = fields()[index];
        if (renamed_away_.contains(field.name)) return;
        SchemaDecision decision{.column = field.name, .change = "column_added", .decision = "applied"};
        decision.detail = fmt::format("{} {}; rows already there have {}", field.name, engine::sql_type(field.type),
                                      field.initial ? *field.initial : "NULL");
        switch (target_.schema_change) {
            case SchemaChange::evolve:
                decision.sql = add_with_initial(field);
                columns_.push_back({.name = field.name, .sql_type = engine::sql_type(field.type), .type = field.type});
                carry(index, columns_.back(), true);
                break;
            case SchemaChange::freeze:
                if (recorded_field(found_, field.name) != nullptr) return;  // said before
                decision.decision = "ignored";
                decision.detail = fmt::format("column {} is new and left out: schema_change is freeze", field.name);
                break;
            case SchemaChange::reject: decision.decision = "refused"; break;
        }
        decide(std::move(decision));
    }

    void widen(size_t index, engine::TargetColumn& column) {
        const auto& field = fields()[index];
        SchemaDecision decision{.column = column.name,
                                .change = "type_widened",
                                .decision = "applied",
                                .sql = alter(fmt::format("ALTER COLUMN {} SET DATA TYPE {}",
                                                         quote_identifier(column.name), engine::sql_type(field.type))),
                                .detail = fmt::format("{} -> {}", column.sql_type, engine::sql_type(field.type))};
        if (target_.schema_change != SchemaChange::evolve) {
            decision.decision = "refused";
            decision.sql.clear();
        } else {
            column.type = field.type;
            column.sql_type = engine::sql_type(field.type);
            carry(index, column);
        }
        decide(std::move(decision));
    }

    void replace_type(size_t index, const engine::TargetColumn& newest) {
        const auto& field = fields()[index];
        SchemaDecision decision{.column = field.name,
                                .change = "type_changed",
                                .decision = "refused",
                                .detail = fmt::format("{} -> {}", newest.sql_type, engine::sql_type(field.type))};
        bool ours = recorded_field(found_, field.name) != nullptr || renamed_from_recorded(field);
        if (target_.schema_change == SchemaChange::evolve && ours) {
            std::string name = next_version(field.name);
            decision.decision = "new_column";
            decision.sql = add_column(name, field.type);
            decision.detail += fmt::format("; new values go to {}, {} keeps the old ones", name, newest.name);
            columns_.push_back({.name = name, .sql_type = engine::sql_type(field.type), .type = field.type});
            carry(index, columns_.back(), true);
        }
        decide(std::move(decision));
    }

    bool renamed_from_recorded(const data::Field& field) const {
        return found_.recorded && std::ranges::any_of(found_.recorded->fields, [&](const auto& before) {
                   return field.source_id != 0 && before.source_id == field.source_id;
               });
    }

    std::string next_version(const std::string& name) {
        for (int version = 2;; ++version) {
            std::string candidate = fmt::format("{}__v{}", name, version);
            if (column(candidate) == nullptr && !has_field(target_.info.schema, candidate)) return candidate;
        }
    }

    void leave(const engine::TargetColumn& column) {
        if (carried_.contains(column.name) || column.name == valid_from_column || column.name == valid_to_column)
            return;
        shape_.only_in_target.push_back(column.name);
        const auto* before = recorded_field(found_, column.name);
        bool dropped =
            before != nullptr && !has_field(target_.info.schema, column.name) && !renamed_.contains(column.name);
        if (!dropped) return;
        SchemaDecision decision{
            .column = column.name,
            .change = "column_dropped",
            .decision = "kept_as_null",
            .detail =
                fmt::format("column {} is gone from the source; it stays here and is NULL in new rows", column.name)};
        bool refuses_null =
            std::ranges::any_of(found_.not_null, [&](const auto& name) { return same_name(name, column.name); });
        if (target_.schema_change == SchemaChange::reject) decision.decision = "refused";
        if (target_.schema_change == SchemaChange::evolve && refuses_null)
            decision.sql = alter(fmt::format("ALTER COLUMN {} DROP NOT NULL", quote_identifier(column.name)));
        decide(std::move(decision));
    }

    const flow::TableTarget& target_;
    const TargetTable& found_;
    std::string table_;
    std::vector<engine::TargetColumn> columns_;
    std::set<std::string> carried_;
    std::set<std::string> renamed_;       // old names that got a new one
    std::set<std::string> renamed_away_;  // new names that are left out, by policy
    Shape shape_;
};

Status check_names(const flow::TableTarget& target) {
    std::map<std::string, std::string> folded;
    for (const auto& field : target.info.schema.fields) {
        std::string lower = field.name;
        std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
        auto [other, fresh] = folded.emplace(lower, field.name);
        if (!fresh)
            return fail(
                {.kind = ErrorKind::schema,
                 .code = "column_names_collide",
                 .message = fmt::format("columns {} and {} of {} have the same name in DuckDB, which ignores case",
                                        other->second, field.name, target.info.name),
                 .hint = "read the table by `query:` and give one of them another name"});
    }
    return {};
}

}  // namespace

const ColumnPlan* Shape::find(std::string_view source_column) const {
    for (const auto& column : columns)
        if (column.source == source_column) return &column;
    return nullptr;
}

Result<std::vector<std::string>> Shape::names_of(const std::vector<std::string>& source_columns) const {
    std::vector<std::string> names;
    for (const auto& name : source_columns) {
        const auto* column = find(name);
        if (column == nullptr)
            return fail({.kind = ErrorKind::schema,
                         .code = "key_not_carried",
                         .message = fmt::format("column {} is needed in the target, but is left out of it", name),
                         .hint = "set `schema_change: evolve`, or add the column to the target yourself"});
        names.push_back(column->name);
    }
    return names;
}

Result<Shape> compare(const flow::TableTarget& target, const TargetTable& found) {
    PN_CHECK(check_names(target));
    if (!found.exists) {
        Shape shape = new_shape(target);
        shape.decisions.push_back({.change = "table_created",
                                   .decision = "applied",
                                   .sql = create_table_sql(found.name, target, shape, found.zstd),
                                   .detail = fmt::format("{} columns", shape.columns.size())});
        return shape;
    }
    bool rebuilds = target.mode == Mode::replace || target.full_refresh;
    if (rebuilds && target.schema_change != SchemaChange::freeze) return rebuilt_shape(target, found);
    return Comparison(target, found).run();
}

Status refusal(const flow::TableTarget& target, const Shape& shape) {
    for (const auto& decision : shape.decisions) {
        if (decision.decision != "refused") continue;
        bool by_policy = target.schema_change != SchemaChange::evolve;
        return fail(
            {.kind = ErrorKind::schema,
             .code = "schema_change_refused",
             .message = fmt::format("column {} of {} does not fit target {} ({}: {}){}", decision.column,
                                    target.info.name, target.name, decision.change, decision.detail,
                                    by_policy ? ", and schema_change forbids to change the target" : ""),
             .hint = by_policy
                         ? "set `schema_change: evolve`, or change the target yourself"
                         : "this column was not made by penstock: change its type, or name another target table"});
    }
    return {};
}

}  // namespace penstock::duckdb
