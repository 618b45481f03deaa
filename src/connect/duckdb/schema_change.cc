#include "connect/duckdb/schema_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/humane.h"
#include "base/letters.h"
#include "connect/duckdb/own_columns.h"
#include "connect/duckdb/widening.h"
#include "engine/constant.h"
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

std::string relation_of(const data::Schema& schema) {
    for (const auto& field : schema.fields)
        if (!field.source_relation.empty()) return field.source_relation;
    return "";
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
        else note_relation();
        if (found_.recorded && !rebuilds()) follow_numbers();
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

    bool rebuilds() const { return duckdb::rebuilds(target_); }

    /// Numbers of columns mean something within one relation only; from now on they are this one's.
    void note_relation() {
        std::string now = relation_of(target_.info.schema), before = relation_of(*found_.recorded);
        if (now.empty() || (now == before && !(rebuilds() && renumbered(target_, found_)))) return;
        made_anew_ = !before.empty() && now != before;
        decide({.change = "source_identified",
                .decision = "applied",
                .detail = made_anew_ ? "the columns on record are another table's; these are matched with them by name"
                                     : "the numbers of the source's columns are on record from now on"});
    }

    /// Whether the target's column of the field's name is the field's own, going by what was recorded. A column that the source
    /// no longer had at the last record was dropped: who bears its name now is another.
    bool owns_name(const data::Field& field) const {
        if (recorded_field(found_, field.name) != nullptr) return owned_before(field);
        return predecessor(field) == nullptr && !found_.once_recorded.contains(lower_case(field.name));
    }

    const data::Field* predecessor(const data::Field& field) const {
        for (const auto& before : found_.recorded->fields)
            if (field.same_column(before)) return &before;
        return nullptr;
    }

    /// What the recorded column is called now, where that differs. Without a known relation only a name that was free is
    /// taken for a rename.
    const data::Field* renamed_to(const data::Field& before) {
        for (const auto& field : fields()) {
            if (!field.same_column(before)) continue;
            if (same_name(field.name, before.name)) return nullptr;
            bool certain = !field.source_relation.empty() && field.source_relation == before.source_relation;
            bool free = !has_field(target_.info.schema, before.name) && recorded_field(found_, field.name) == nullptr &&
                        column(field.name) == nullptr;
            return certain || free ? &field : nullptr;
        }
        return nullptr;
    }

    struct Move {
        engine::TargetColumn* column;
        std::string to;
        const data::Field* before;  ///< the recorded column it carries on, or nothing: it makes room
    };

    /// Renames the target's columns as the source's were, and takes those aside whose names others bear now.
    void follow_numbers() {
        std::vector<Move> moves;
        auto moving = [&](const engine::TargetColumn* column) {
            return std::ranges::any_of(moves, [&](const Move& move) { return move.column == column; });
        };
        for (const auto& before : found_.recorded->fields) {
            const auto* now = renamed_to(before);
            if (now == nullptr) continue;
            auto known = versions(before.name);
            if (!known.empty() && !moving(known.front())) moves.push_back({known.front(), now->name, &before});
        }
        for (const auto& field : fields()) {
            if (owns_name(field) || column(field.name) == nullptr) continue;
            if (!may_follow(field)) continue;
            for (auto* occupant : versions(field.name))
                if (!moving(occupant)) moves.push_back({occupant, free_name(occupant->name + "__dropped"), nullptr});
        }
        if (target_.schema_change != SchemaChange::evolve) return leave_names(moves);
        while (!moves.empty()) make_move(moves);
    }

    /// A key or a cursor that is another column makes what was loaded by the old one meaningless.
    bool may_follow(const data::Field& field) {
        bool key = std::ranges::find(target_.key, field.name) != target_.key.end();
        bool fixed = key || field.name == target_.info.cursor;
        if (target_.schema_change == SchemaChange::evolve && !fixed) return true;
        std::string detail =
            fmt::format("column {} of the source is not the one of that name that was loaded before", field.name);
        if (fixed) detail += fmt::format(", and it is {}", key ? "in the key" : "the cursor");
        decide({.column = field.name, .change = "column_replaced", .decision = "refused", .detail = std::move(detail)});
        return false;
    }

    /// A target that keeps its shape keeps its names.
    void leave_names(const std::vector<Move>& moves) {
        bool freeze = target_.schema_change == SchemaChange::freeze;
        for (const auto& move : moves) {
            if (move.before == nullptr) continue;
            decide({.column = move.to,
                    .change = "column_renamed",
                    .decision = freeze ? "ignored" : "refused",
                    .detail = fmt::format("column {} of the source is now called {}", move.before->name, move.to)});
            renamed_away_.insert(move.to);
        }
    }

    /// One whose new name is free; where all wait for each other, one steps out of the way.
    void make_move(std::vector<Move>& moves) {
        auto next = std::ranges::find_if(
            moves, [&](const Move& move) { return column(move.to) == nullptr || column(move.to) == move.column; });
        if (next == moves.end()) {
            std::string aside = free_name(moves.front().column->name + "__moving");
            parting_ += rename_sql(*moves.front().column, aside) + "; ";
            moves.front().column->name = aside;
            return;
        }
        SchemaDecision decision{.column = next->to, .change = "column_renamed", .decision = "applied"};
        decision.sql = std::exchange(parting_, "") + rename_sql(*next->column, next->to);
        if (next->before != nullptr) {
            decision.detail = fmt::format("column {} of the source is now called {}", next->before->name, next->to);
            renamed_.insert(next->before->name);
        } else {
            decision.change = "column_replaced";
            decision.detail =
                fmt::format("column {} of the source is another one now; what was loaded of the old one stays in {}",
                            next->column->name, next->to);
            if (refuses_null(next->column->name))
                decision.sql += "; " + alter(fmt::format("ALTER COLUMN {} DROP NOT NULL", quote_identifier(next->to)));
        }
        next->column->name = next->to;
        decide(std::move(decision));
        moves.erase(next);
    }

    std::string rename_sql(const engine::TargetColumn& column, const std::string& to) const {
        return alter(fmt::format("RENAME COLUMN {} TO {}", quote_identifier(column.name), quote_identifier(to)));
    }

    std::string free_name(const std::string& wanted) {
        std::string name = wanted;
        for (int again = 2; column(name) != nullptr || has_field(target_.info.schema, name); ++again)
            name = fmt::format("{}{}", wanted, again);
        return name;
    }

    bool refuses_null(std::string_view column) const {
        return std::ranges::any_of(found_.not_null, [&](const auto& name) { return same_name(name, column); });
    }

    void place(size_t index) {
        const auto& field = fields()[index];
        auto known = versions(field.name);
        if (known.empty()) return add(index);
        if (joins(field)) return join(index, *known.front());
        for (auto* candidate : known)
            if (candidate->type && holds(*candidate->type, field.type)) return carry(index, *candidate);
        auto& newest = *known.front();
        if (newest.type && holds(field.type, *newest.type)) return widen(index, newest);
        replace_type(index, newest);
    }

    /// New in the source, and in the target already: by hand, or from another source.
    bool joins(const data::Field& field) const {
        return found_.recorded && !field.source_relation.empty() &&
               relation_of(*found_.recorded) == field.source_relation &&
               recorded_field(found_, field.name) == nullptr && predecessor(field) == nullptr && !rebuilds();
    }

    void join(size_t index, engine::TargetColumn& column) {
        const auto& field = fields()[index];
        bool fits = column.type && holds(*column.type, field.type);
        SchemaDecision decision{.column = field.name, .change = "column_added", .decision = "applied"};
        decision.detail = fmt::format("{} {}; the target has it already", field.name, engine::sql_type(field.type));
        if (!fits) decision.decision = "refused", decision.detail += " as " + column.sql_type;
        else if (!older_value(field) || field.initial) read_again(decision);
        if (decision.decision == "applied") carry(index, column, true);
        decide(std::move(decision));
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
        if (!field.initial || found_.empty) return add_column(field.name, field.type);
        return fmt::format("{} DEFAULT {}; {}", add_column(field.name, field.type), engine::default_literal(field),
                           alter(fmt::format("ALTER COLUMN {} DROP DEFAULT", quote_identifier(field.name))));
    }

    /// As SQL, or nothing where only the source's rows tell: those of a table that was made anew have values in its new
    /// columns, and so do rows that were loaded while the column was left out.
    std::optional<std::string> older_value(const data::Field& field) const {
        if (found_.empty) return "CAST(NULL AS " + engine::sql_type(field.type) + ")";
        bool left_out = found_.recorded && (owned_before(field) || predecessor(field) != nullptr);
        return made_anew_ || left_out ? std::nullopt : engine::older_rows_sql(field);
    }

    bool owned_before(const data::Field& field) const {
        const auto* before = recorded_field(found_, field.name);
        return before != nullptr && !field.replaces(*before);
    }

    void add(size_t index) {
        const auto& field = fields()[index];
        if (renamed_away_.contains(field.name)) return;
        SchemaDecision decision{.column = field.name, .change = "column_added", .decision = "applied"};
        decision.detail = fmt::format("{} {}", field.name, engine::sql_type(field.type));
        switch (target_.schema_change) {
            case SchemaChange::evolve: add_evolving(index, decision); break;
            case SchemaChange::freeze:
                if (recorded_field(found_, field.name) != nullptr) return;  // said before
                decision.decision = "ignored";
                decision.detail = fmt::format("column {} is new and left out: schema_change is freeze", field.name);
                break;
            case SchemaChange::reject: decision.decision = "refused"; break;
        }
        decide(std::move(decision));
    }

    void add_evolving(size_t index, SchemaDecision& decision) {
        const auto& field = fields()[index];
        auto value = older_value(field);
        if (value) {
            decision.detail +=
                fmt::format("; rows already there have {}", field.initial && !found_.empty ? *field.initial : "NULL");
            decision.sql = add_with_initial(field);
        } else {
            read_again(decision);
            if (decision.decision == "refused") return;
            decision.sql = add_column(field.name, field.type);
        }
        columns_.push_back({.name = field.name, .sql_type = engine::sql_type(field.type), .type = field.type});
        carry(index, columns_.back(), true);
    }

    /// Only the source's rows tell what rows already there have in the column.
    void read_again(SchemaDecision& decision) {
        if (std::string obstacle = no_rereading(); !obstacle.empty()) {
            decision.decision = "refused";
            decision.detail +=
                fmt::format("; only the source's rows tell what rows already there have in it, and {}", obstacle);
            return;
        }
        bool keyed = target_.mode == Mode::merge || target_.mode == Mode::history;
        decision.detail += keyed ? "; every row is read again, for what rows already there have in it"
                                 : "; rows already there have NULL";
        shape_.reads_everything |= keyed;
    }

    /// Why rows that are there cannot be read again and found by their key; "" when they can, or come again anyway.
    std::string no_rereading() const {
        if (target_.mode == Mode::append)
            return found_.batch && !target_.info.cursor.empty() ? "mode append does not look for them" : "";
        return target_.update_when.empty() ? "" : "update_when may keep them as they are";
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
        return found_.recorded && predecessor(field) != nullptr;
    }

    std::string next_version(const std::string& name) {
        for (int version = 2;; ++version) {
            std::string candidate = fmt::format("{}__v{}", name, version);
            if (column(candidate) == nullptr && !has_field(target_.info.schema, candidate)) return candidate;
        }
    }

    void leave(const engine::TargetColumn& column) {
        if (carried_.contains(column.name) || is_own_column(target_, column.name) || column.name == valid_from ||
            column.name == valid_to)
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
        if (target_.schema_change == SchemaChange::reject) decision.decision = "refused";
        if (target_.schema_change == SchemaChange::evolve && refuses_null(column.name))
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
    bool made_anew_ = false;              // the source's table is not the one that was recorded
    std::string parting_;                 // SQL that goes before the next decision's
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
                                   .sql = create_table_sql(found.name, target, shape, found.storage),
                                   .detail = fmt::format("{} columns", shape.columns.size())});
        return shape;
    }
    if (rebuilds(target) && target.schema_change != SchemaChange::freeze) return rebuilt_shape(target, found);
    Shape shape = Comparison(target, found).run();
    add_own_columns(target, found, shape);
    return shape;
}

Status refusal(const flow::TableTarget& target, const Shape& shape) {
    for (const auto& decision : shape.decisions) {
        if (decision.decision != "refused") continue;
        bool by_policy = target.schema_change != SchemaChange::evolve;
        bool rebuild = decision.change == "column_replaced" || (!by_policy && decision.change == "column_added");
        return fail(
            {.kind = ErrorKind::schema,
             .code = "schema_change_refused",
             .message = fmt::format("column {} of {} does not fit target {} ({}: {}){}", decision.column,
                                    target.info.name, target.name, decision.change, decision.detail,
                                    by_policy ? ", and schema_change forbids to change the target" : ""),
             .hint = rebuild ? "run once with --full-refresh: the table is built again from the source's rows"
                     : by_policy
                         ? "set `schema_change: evolve`, or change the target yourself"
                         : "this column was not made by penstock: change its type, or name another target table"});
    }
    return {};
}

}  // namespace penstock::duckdb
