#include "connect/bigquery/schema_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "base/humane.h"
#include "base/letters.h"
#include "connect/bigquery/own_columns.h"

namespace penstock::bigquery {
namespace {

using flow::Mode;
using flow::SchemaChange;
using flow::SchemaDecision;

const data::Field* field_named(const data::Schema& schema, std::string_view name) {
    for (const auto& field : schema.fields)
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
    Comparison(const flow::TableTarget& target, const TargetTable& found, std::vector<Column> incoming)
        : target_(target), found_(found), incoming_(std::move(incoming)), columns_(found.columns) {}

    Shape run() {
        if (!found_.recorded)
            decide({.change = "table_adopted",
                    .decision = "applied",
                    .detail = "the table was there before; its columns are matched by name"});
        else note_relation();
        if (found_.recorded && !rebuilds(target_)) follow_numbers();
        for (size_t i = 0; i < fields().size(); ++i) place(i);
        for (const auto& column : columns_) leave(column);
        if (target_.info.changes) add_own_columns();
        return std::move(shape_);
    }

  private:
    const std::vector<data::Field>& fields() const { return target_.info.schema.fields; }
    void decide(SchemaDecision decision) { shape_.decisions.push_back(std::move(decision)); }
    std::string alter(const std::string& what) const {
        return fmt::format("ALTER TABLE {} {}", found_.id.quoted(), what);
    }
    bool evolves() const { return target_.schema_change == SchemaChange::evolve; }

    Column* column(std::string_view name) {
        for (auto& candidate : columns_)
            if (same_name(candidate.name, name)) return &candidate;
        return nullptr;
    }

    void note_relation() {
        std::string now = relation_of(target_.info.schema), before = relation_of(*found_.recorded);
        if (now.empty() || now == before) return;
        made_anew_ = !before.empty();
        decide({.change = "source_identified",
                .decision = "applied",
                .detail = made_anew_ ? "the columns on record are another table's; these are matched with them by name"
                                     : "the numbers of the source's columns are on record from now on"});
    }

    /// Renames the target's columns as the source's were; a name that another column took over is refused.
    void follow_numbers() {
        for (const auto& field : fields()) {
            const auto* before = predecessor(field);
            if (before != nullptr && !same_name(before->name, field.name)) rename(field, *before);
            const auto* namesake = field_named(*found_.recorded, field.name);
            bool replaced = namesake != nullptr && field.replaces(*namesake);
            bool returned = namesake == nullptr && before == nullptr && column(field.name) != nullptr &&
                            found_.once_recorded.contains(lower_case(field.name));
            if (!replaced && !returned) continue;
            decide({.column = field.name,
                    .change = "column_replaced",
                    .decision = "refused",
                    .detail = fmt::format("column {} of the source is not the one of that name that was loaded before",
                                          field.name)});
            settled_.insert(field.name);
        }
    }

    const data::Field* predecessor(const data::Field& field) const {
        for (const auto& before : found_.recorded->fields)
            if (field.same_column(before)) return &before;
        return nullptr;
    }

    void rename(const data::Field& field, const data::Field& before) {
        auto* there = column(before.name);
        if (there == nullptr || column(field.name) != nullptr ||
            field_named(target_.info.schema, before.name) != nullptr)
            return;
        SchemaDecision decision{.column = field.name, .change = "column_renamed", .decision = "applied"};
        decision.detail = fmt::format("column {} of the source is now called {}", before.name, field.name);
        bool fixed =
            same_name(found_.partitioning.column, there->name) ||
            std::ranges::any_of(found_.clustering, [&](const auto& name) { return same_name(name, there->name); });
        if (!evolves() || fixed) {
            decision.decision = "refused";
            if (fixed)
                decision.detail += ", and BigQuery renames no column that a table is partitioned or clustered by";
            settled_.insert(field.name);
            carried_.insert(there->name);
            return decide(std::move(decision));
        }
        decision.sql =
            alter(fmt::format("RENAME COLUMN {} TO {}", quote_identifier(there->name), quote_identifier(field.name)));
        there->name = field.name;
        decide(std::move(decision));
    }

    /// The target columns that have carried a source column: x, x__v2, x__v3 … newest first.
    std::vector<Column*> versions(const std::string& name) {
        std::vector<Column*> found;
        if (auto* first = column(name)) found.push_back(first);
        for (int version = 2;; ++version) {
            std::string next = fmt::format("{}__v{}", name, version);
            auto* candidate = column(next);
            if (candidate == nullptr || field_named(target_.info.schema, next) != nullptr) break;
            found.insert(found.begin(), candidate);
        }
        return found;
    }

    void place(size_t index) {
        const auto& field = fields()[index];
        if (settled_.contains(field.name)) return;
        auto known = versions(field.name);
        if (known.empty()) return add(index);
        for (auto* candidate : known)
            if (holds(*candidate, incoming_[index]) || candidate->type == incoming_[index].carrier)
                return was_left_unfilled(field) ? fill(index, *candidate) : carry(index, *candidate);
        if (can_widen(*known.front(), incoming_[index])) return widen(index, *known.front());
        replace_type(index, *known.front());
    }

    void carry(size_t index, const Column& into, bool fresh = false) {
        shape_.columns.push_back({.field = index,
                                  .source = fields()[index].name,
                                  .incoming = incoming_[index],
                                  .column = into,
                                  .fresh = fresh});
        auto& incoming = shape_.columns.back().incoming;
        if (into.type == incoming.carrier)
            incoming.type = std::exchange(incoming.carrier, {});  // stored as it is staged
        carried_.insert(into.name);
    }

    std::string add_column(const Column& column) const {
        std::string options = column.description.empty()
                                  ? ""
                                  : fmt::format(" OPTIONS (description = {})", quote_literal(column.description));
        return alter(
            fmt::format("ADD COLUMN IF NOT EXISTS {} {}{}", quote_identifier(column.name), sql_type(column), options));
    }

    void add(size_t index) {
        const auto& field = fields()[index];
        SchemaDecision decision{.column = field.name, .change = "column_added", .decision = "applied"};
        decision.detail = fmt::format("{} {}", field.name, sql_type(incoming_[index]));
        if (target_.schema_change == SchemaChange::freeze) {
            if (found_.recorded && field_named(*found_.recorded, field.name) != nullptr) return;  // said before
            decision.decision = "ignored";
            decision.detail = fmt::format("column {} is new and left out: schema_change is freeze", field.name);
        } else if (!evolves()) {
            decision.decision = "refused";
        } else {
            add_evolving(index, decision);
        }
        decide(std::move(decision));
    }

    void add_evolving(size_t index, SchemaDecision& decision) {
        tell_old_rows(fields()[index], decision);
        if (decision.decision == "refused") return;
        decision.sql = add_column(incoming_[index]);
        columns_.push_back(incoming_[index]);
        carry(index, columns_.back(), true);
    }

    /// A column that is there and not on record: a run added it, which no transaction holds, and died before it committed rows.
    bool was_left_unfilled(const data::Field& field) const {
        return evolves() && found_.recorded && field_named(*found_.recorded, field.name) == nullptr &&
               predecessor(field) == nullptr;
    }

    void fill(size_t index, const Column& into) {
        SchemaDecision decision{.column = fields()[index].name, .change = "column_added", .decision = "applied"};
        decision.detail = fmt::format("{} {}, which is there already", into.name, sql_type(into));
        tell_old_rows(fields()[index], decision);
        if (decision.decision != "refused") carry(index, into, true);
        decide(std::move(decision));
    }

    void tell_old_rows(const data::Field& field, SchemaDecision& decision) {
        bool left_out = found_.recorded && field_named(*found_.recorded, field.name) != nullptr;
        bool certain = (found_.empty && !found_.batch) || rebuilds(target_) ||
                       (!field.initial && !field.initial_unknown && !made_anew_ && !left_out);
        if (certain) decision.detail += "; rows already there have NULL";
        else read_again(decision);
    }

    /// Only the source's rows tell what rows already there have in the column.
    void read_again(SchemaDecision& decision) {
        bool keyed = target_.mode == Mode::merge || target_.mode == Mode::history;
        bool stuck = target_.mode == Mode::append && found_.batch && !target_.info.cursor.empty();
        if (stuck || (keyed && !target_.update_when.empty())) {
            decision.decision = "refused";
            decision.detail +=
                fmt::format("; only the source's rows tell what rows already there have in it, and {}",
                            stuck ? "mode append does not look for them" : "update_when may keep them as they are");
            return;
        }
        decision.detail += keyed ? "; every row is read again, for what rows already there have in it"
                                 : "; rows already there have NULL";
        shape_.reads_everything |= keyed;
    }

    void widen(size_t index, Column& column) {
        SchemaDecision decision{.column = column.name, .change = "type_widened", .decision = "applied"};
        decision.detail = fmt::format("{} -> {}", sql_type(column), sql_type(incoming_[index]));
        if (!evolves()) {
            decision.decision = "refused";
        } else {
            decision.sql = alter(fmt::format("ALTER COLUMN {} SET DATA TYPE {}", quote_identifier(column.name),
                                             sql_type(incoming_[index])));
            column.type = incoming_[index].type;
            carry(index, column);
        }
        decide(std::move(decision));
    }

    void replace_type(size_t index, const Column& newest) {
        const auto& field = fields()[index];
        SchemaDecision decision{.column = field.name, .change = "type_changed", .decision = "refused"};
        decision.detail = fmt::format("{} -> {}", sql_type(newest), sql_type(incoming_[index]));
        bool ours = found_.recorded && field_named(*found_.recorded, field.name) != nullptr;
        if (evolves() && ours) {
            Column next = incoming_[index];
            for (int version = 2;
                 column(next.name) != nullptr || field_named(target_.info.schema, next.name) != nullptr; ++version)
                next.name = fmt::format("{}__v{}", field.name, version);
            decision.decision = "new_column";
            decision.sql = add_column(next);
            decision.detail += fmt::format("; new values go to {}, {} keeps the old ones", next.name, newest.name);
            columns_.push_back(next);
            carry(index, next, true);
        }
        decide(std::move(decision));
    }

    void leave(const Column& column) {
        if (carried_.contains(column.name) || is_own_column(target_, column.name)) return;
        shape_.only_in_target.push_back(column.name);
        bool dropped = found_.recorded && field_named(*found_.recorded, column.name) != nullptr &&
                       field_named(target_.info.schema, column.name) == nullptr;
        if (column.required && (evolves() || !dropped)) return relax(column);
        if (!dropped) return;
        SchemaDecision decision{.column = column.name, .change = "column_dropped", .decision = "kept_as_null"};
        decision.detail =
            fmt::format("column {} is gone from the source; it stays here and is NULL in new rows", column.name);
        if (target_.schema_change == SchemaChange::reject) decision.decision = "refused";
        decide(std::move(decision));
    }

    /// A table that was there before its changes were captured gets the columns that it lacks.
    void add_own_columns() {
        for (const auto& own : own_columns(target_)) {
            if (column(own.name) != nullptr) continue;
            bool may = evolves();
            decide({.column = own.name,
                    .change = "column_added",
                    .decision = may ? "applied" : "refused",
                    .sql = may ? add_column(own) : "",
                    .detail = fmt::format("{} {}; penstock's own, to apply changes by", own.name, own.type)});
        }
    }

    /// A column that refuses NULL, and of which the source has no values.
    void relax(const Column& column) {
        decide(
            {.column = column.name,
             .change = "column_relaxed",
             .decision = evolves() ? "applied" : "refused",
             .sql = evolves() ? alter(fmt::format("ALTER COLUMN {} DROP NOT NULL", quote_identifier(column.name))) : "",
             .detail = fmt::format("column {} is not in the source; it is NULL in new rows", column.name)});
    }

    const flow::TableTarget& target_;
    const TargetTable& found_;
    std::vector<Column> incoming_;
    std::vector<Column> columns_;
    std::set<std::string> carried_;
    std::set<std::string> settled_;  // source columns that are decided already
    bool made_anew_ = false;
    Shape shape_;
};

Result<std::vector<Column>> incoming_columns(const flow::TableTarget& target, const config::TypePolicies& policies) {
    std::vector<Column> columns;
    for (const auto& field : target.info.schema.fields) {
        auto column = column_of(field, policies);
        if (!column) return fail(std::move(column.error()).at("table " + target.info.name));
        for (const auto& other : columns)
            if (same_name(other.name, field.name))
                return fail({.kind = ErrorKind::schema,
                             .code = "column_names_collide",
                             .message = fmt::format(
                                 "columns {} and {} of {} have the same name in BigQuery, which ignores case",
                                 other.name, field.name, target.info.name),
                             .hint = "read the table by `query:` and give one of them another name"});
        column->description = field.description.empty() ? field.source_type : field.description;
        columns.push_back(std::move(*column));
    }
    return columns;
}

/// "Use primary and foreign keys": types that a key may have.
bool may_be_key(const Column& column) {
    static constexpr std::string_view types[] = {"BIGNUMERIC", "BOOL",    "BYTES",  "DATE",     "DATETIME",
                                                 "INT64",      "NUMERIC", "STRING", "TIMESTAMP"};
    return !column.repeated && std::ranges::find(types, column.type) != std::end(types);
}

Result<NewTable> new_table(const flow::TableTarget& target, const TargetTable& found, std::vector<Column> columns) {
    NewTable made{.id = found.id, .columns = std::move(columns)};
    PN_TRY(made.partitioning, parse_partitioning(target.partition_by, made.columns));
    made.clustering = target.cluster_by;
    if (made.clustering.empty() && (target.mode == Mode::merge || target.info.changes)) {
        made.clustering = target.key;  // what a merge looks rows up by
        std::erase_if(made.clustering, [&](const auto& name) {
            auto column = std::ranges::find_if(made.columns, [&](const auto& c) { return c.name == name; });
            bool can = column != made.columns.end() && !column->repeated && column->type != "JSON" &&
                       column->type != "STRUCT" && column->type != "FLOAT64" && column->type != "BYTES" &&
                       column->type != "INTERVAL" && column->type != "TIME" && range_element(*column).empty();
            return !can;
        });
        if (made.clustering.size() > 4) made.clustering.resize(4);  // BigQuery clusters by four columns at most
    }
    if (made.clustering.size() > 4)
        return fail({.kind = ErrorKind::configuration,
                     .code = "too_many_clustering_columns",
                     .message = fmt::format("cluster_by names {} columns, BigQuery takes four", made.clustering.size()),
                     .hint = "name the four that queries filter by most"});
    bool keyed = std::ranges::all_of(target.key, [&](const auto& name) {
        auto column = std::ranges::find(made.columns, name, &Column::name);
        return column != made.columns.end() && may_be_key(*column);
    });
    if (target.mode == Mode::merge && keyed) made.primary_key = target.key;
    for (auto& column : own_columns(target)) made.columns.push_back(std::move(column));
    made.description = target.info.description.empty() ? fmt::format("{}, loaded by Penstock", target.info.name)
                                                       : target.info.description;
    return made;
}

}  // namespace

std::string ColumnPlan::value(const config::TypePolicies& policies, const std::string& staged) const {
    std::string value = unstage_sql(incoming, fmt::format("{}.{}", staged, quote_identifier(source)), policies);
    return column.same_type(incoming) ? value : fmt::format("CAST({} AS {})", value, sql_type(column));
}

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
        names.push_back(column->column.name);
    }
    return names;
}

bool rebuilds(const flow::TableTarget& target) {
    bool mirror = target.whole && target.mode == Mode::merge && target.deletes == flow::Deletes::hard;
    return target.mode == Mode::replace || target.full_refresh || mirror;
}

Result<Shape> compare(const flow::TableTarget& target, const TargetTable& found, const config::TypePolicies& policies) {
    PN_TRY(auto columns, incoming_columns(target, policies));
    if (found.exists) return Comparison(target, found, std::move(columns)).run();
    Shape shape;
    for (size_t i = 0; i < columns.size(); ++i)
        shape.columns.push_back(
            {.field = i, .source = columns[i].name, .incoming = columns[i], .column = columns[i], .fresh = true});
    PN_TRY(shape.made, new_table(target, found, std::move(columns)));
    shape.decisions.push_back({.change = "table_created",
                               .decision = "applied",
                               .sql = shape.made.sql(),
                               .detail = fmt::format("{} columns", shape.columns.size())});
    return shape;
}

Status refusal(const flow::TableTarget& target, const Shape& shape) {
    for (const auto& decision : shape.decisions) {
        if (decision.decision != "refused") continue;
        bool by_policy = target.schema_change != SchemaChange::evolve;
        bool rebuild = decision.change == "column_replaced" || (!by_policy && decision.change == "column_added");
        return fail({.kind = ErrorKind::schema,
                     .code = "schema_change_refused",
                     .message = fmt::format("column {} of {} does not fit target {} ({}: {}){}", decision.column,
                                            target.info.name, target.name, decision.change, decision.detail,
                                            by_policy ? ", and schema_change forbids to change the target" : ""),
                     .hint = rebuild ? "run once with --full-refresh: the table is filled again from the source's rows"
                             : by_policy ? "set `schema_change: evolve`, or change the target yourself"
                                         : "change the column in the target yourself, or name another target table"});
    }
    return {};
}

}  // namespace penstock::bigquery
