#include "connect/parquet/evolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/constant.h"

namespace penstock::parquet {
namespace {

using data::Kind;
using flow::SchemaChange;
using flow::SchemaDecision;

int integer_bits(Kind kind) {
    switch (kind) {
        case Kind::int16: return 15;
        case Kind::int32: return 31;
        case Kind::uint32: return 32;
        case Kind::int64: return 63;
        case Kind::uint64: return 64;
        default: return 0;
    }
}

bool is_unsigned(Kind kind) { return kind == Kind::uint32 || kind == Kind::uint64; }

/// Decimal digits before the point that any value of the integer kind fits in.
int integer_digits(Kind kind) {
    switch (kind) {
        case Kind::int16: return 5;
        case Kind::int32:
        case Kind::uint32: return 10;
        case Kind::int64: return 19;
        case Kind::uint64: return 20;
        default: return 0;
    }
}

/// The comparison of one source with one table.
class Comparison {
  public:
    Comparison(const KnownShape& known, const data::Schema& source, Terms terms)
        : known_(known), source_(source), terms_(std::move(terms)), policy_(terms_.policy), rewrite_(terms_.rewrite) {
        for (const auto& field : known.shape.fields)
            shape_.columns.push_back({.field = field, .source = -1, .before = field.name});
    }

    Shape run() {
        if (rewrite_ != Rewrite::dropped) make_room();
        for (size_t i = 0; i < source_.fields.size(); ++i) match(static_cast<int>(i));
        find_dropped();
        if (rewrite_ == Rewrite::dropped && policy_ == SchemaChange::evolve) drop_unused();
        return std::move(shape_);
    }

  private:
    /// Takes columns aside, or on to their new names, whose names others bear now.
    void make_room() {
        std::vector<std::pair<size_t, std::string>> moves;  // decided by the old names, made at once
        for (const auto& field : source_.fields) {
            int occupant = find(field.name);
            if (occupant < 0 || owns_name(field) || !may_follow(field)) continue;
            const auto* moved_on = carried_on(column(occupant).field);
            std::string to = moved_on ? moved_on->name : free_name(field.name + "__dropped");
            moves.emplace_back(static_cast<size_t>(occupant), to);
            if (moved_on) decide(to, "column_renamed", "applied", fmt::format("was {}", field.name));
            else
                decide(to, "column_replaced", "applied",
                       fmt::format(
                           "column {} of the source is another one now; what was loaded of the old one stays in {}",
                           field.name, to));
        }
        for (auto& [index, to] : moves) shape_.columns[index].field.name = std::move(to);
    }

    /// Going by what was loaded. A column that the source no longer had then was dropped: who bears its name now is another.
    bool owns_name(const data::Field& field) const {
        int before = known_.source.find(field.name);
        return before >= 0 && !field.replaces(known_.source.fields[static_cast<size_t>(before)]);
    }

    /// The source's column that this one was loaded from, under its new name.
    const data::Field* carried_on(const data::Field& before) const {
        if (known_.source.find(before.name) < 0 || before.source_relation.empty()) return nullptr;
        for (const auto& field : source_.fields)
            if (field.same_column(before)) return &field;
        return nullptr;
    }

    bool may_follow(const data::Field& field) {
        bool fixed = std::ranges::find(terms_.fixed, field.name) != terms_.fixed.end();
        if (policy_ == SchemaChange::evolve && rewrite_ == Rewrite::carried && !fixed) return true;
        std::string why = "it is not the column of that name that was loaded before";
        if (fixed) why += ", and it is the cursor or in the key";
        if (rewrite_ == Rewrite::none) why += ", and published files keep that name for the other";
        decide(field.name, "column_replaced", "refused", std::move(why));
        return false;
    }

    std::string free_name(const std::string& wanted) const {
        std::string name = wanted;
        for (int again = 2; find(name) >= 0 || source_.find(name) >= 0; ++again)
            name = fmt::format("{}{}", wanted, again);
        return name;
    }

    void match(int index) {
        const auto& field = source_.fields[static_cast<size_t>(index)];
        int found = find(field.name);
        if (found >= 0) return same_name(column(found), field, index);
        if (int old = find_renamed(field); old >= 0) return renamed(column(old), field, index);
        added(field, index);
    }

    void same_name(ShapeColumn& column, const data::Field& field, int index) {
        if (column.field.type == field.type || widens(field.type, column.field.type)) {
            column.source = index;
            column.field.source_id = field.source_id;
            column.field.source_relation = field.source_relation;
            column.field.source_type = field.source_type;
            return;
        }
        bool wider = widens(column.field.type, field.type);
        std::string what =
            fmt::format("{} becomes {}", data::to_string(column.field.type), data::to_string(field.type));
        if (policy_ != SchemaChange::evolve)
            return decide(field.name, wider ? "type_widened" : "type_changed", "refused", std::move(what));
        if (wider || rewrite_ == Rewrite::dropped) {
            decide(field.name, wider ? "type_widened" : "type_changed", "applied", std::move(what));
            auto before = rewrite_ == Rewrite::dropped ? std::string() : column.before;
            column = {.field = field, .source = index, .before = std::move(before)};
            return;
        }
        second_version(field, index, what);
    }

    /// An incompatible type goes to `<name>__v2`, or on to the version that already has this type.
    void second_version(const data::Field& field, int index, const std::string& what) {
        for (int version = 2;; ++version) {
            std::string name = fmt::format("{}__v{}", field.name, version);
            int found = find(name);
            if (found >= 0 && !(column(found).field.type == field.type || widens(field.type, column(found).field.type)))
                continue;
            if (found >= 0) {
                column(found).source = index;
                return;
            }
            decide(field.name, "type_changed", "new_column", fmt::format("{}: new values go to {}", what, name));
            data::Field versioned = field;
            versioned.name = name;
            shape_.columns.push_back({.field = std::move(versioned), .source = index, .before = {}});
            return;
        }
    }

    void renamed(ShapeColumn& column, const data::Field& field, int index) {
        std::string old = column.field.name;
        if (policy_ != SchemaChange::evolve) {
            if (policy_ == SchemaChange::reject)
                return decide(field.name, "column_renamed", "refused", fmt::format("was {}", old));
            column.source = index;                            // freeze: the table keeps its name for it
            if (known_.source.find(field.name) >= 0) return;  // said before
            return decide(field.name, "column_renamed", "ignored", fmt::format("goes on as {}", old));
        }
        if (rewrite_ == Rewrite::none) {
            decide(field.name, "column_renamed", "new_column",
                   fmt::format("was {}: published files keep that name, new ones have both, {} as NULL", old, old));
            shape_.columns.push_back({.field = field, .source = index, .before = {}});
            return;
        }
        decide(field.name, "column_renamed", "applied", fmt::format("was {}", old));
        column.field.name = field.name;
        column.field.source_id = field.source_id;
        column.field.source_relation = field.source_relation;
        same_name(column, field, index);
    }

    void added(const data::Field& field, int index) {
        switch (policy_) {
            case SchemaChange::reject:
                return decide(field.name, "column_added", "refused", data::to_string(field.type));
            case SchemaChange::freeze:
                return decide(
                    field.name, "column_added", "ignored",
                    fmt::format("{}: left out because of schema_change: freeze", data::to_string(field.type)));
            case SchemaChange::evolve: break;
        }
        auto column = field;
        std::string decision = "applied", detail = data::to_string(field.type);
        if (rewrite_ != Rewrite::dropped) tell_older_rows(column, decision, detail);
        decide(field.name, "column_added", decision, std::move(detail));
        shape_.columns.push_back({.field = std::move(column), .source = index, .before = {}});
    }

    /// What rows already there have in a new column. Those of a table that was made anew have values in it, and so do rows that
    /// were loaded while the column was left out.
    void tell_older_rows(data::Field& field, std::string& decision, std::string& detail) {
        if (made_anew() || owns_name(field)) field.initial_unknown = true;
        bool told = engine::older_rows_sql(field).has_value();
        if (told && field.initial) {
            detail +=
                rewrite_ == Rewrite::none
                    ? fmt::format("; published files lack it, though the source's rows of then have {}", *field.initial)
                    : fmt::format("; rows already there have {}", *field.initial);
        } else if (told) {
            detail += "; rows already there have NULL";
        } else if (!terms_.no_rereading.empty()) {
            decision = "refused";
            detail += fmt::format("; only the source's rows tell what rows already there have in it, and {}",
                                  terms_.no_rereading);
        } else if (rewrite_ == Rewrite::carried) {
            detail += "; every row is read again, for what rows already there have in it";
            shape_.reads_everything = true;
        }
    }

    bool made_anew() const {
        for (const auto& field : source_.fields)
            for (const auto& before : known_.source.fields)
                if (field.of_other_relation(before)) return true;
        return false;
    }

    void find_dropped() {
        for (const auto& column : shape_.columns) {
            if (column.source >= 0 || is_ours(column.field.name)) continue;
            bool had_it = known_.source.find(column.field.name) >= 0;
            bool moved = source_.find(column.field.name) >= 0 || find_by_id(source_, column.field.source_id) >= 0;
            if (!had_it || moved) continue;
            bool refused = policy_ == SchemaChange::reject;
            bool gone = rewrite_ == Rewrite::dropped && policy_ == SchemaChange::evolve;
            decide(column.field.name, "column_dropped",
                   refused ? "refused"
                   : gone  ? "applied"
                           : "kept_as_null",
                   refused ? "the source no longer has it"
                   : gone  ? "it goes with the rows that are replaced"
                           : "NULL in rows loaded from now on");
        }
    }

    void drop_unused() {
        std::erase_if(shape_.columns, [](const ShapeColumn& column) { return column.source < 0; });
    }

    /// The table's column that has the field's number and whose name the source has no more.
    int find_renamed(const data::Field& field) const {
        if (field.source_id == 0) return -1;
        for (size_t i = 0; i < shape_.columns.size(); ++i) {
            const auto& column = shape_.columns[i];
            if (column.source < 0 && field.same_column(column.field) && source_.find(column.field.name) < 0 &&
                (known_.source.find(column.field.name) >= 0 || policy_ == SchemaChange::freeze))
                return static_cast<int>(i);
        }
        return -1;
    }

    static int find_by_id(const data::Schema& schema, int32_t id) {
        if (id == 0) return -1;
        for (size_t i = 0; i < schema.fields.size(); ++i)
            if (schema.fields[i].source_id == id) return static_cast<int>(i);
        return -1;
    }

    int find(std::string_view name) const {
        for (size_t i = 0; i < shape_.columns.size(); ++i)
            if (shape_.columns[i].field.name == name) return static_cast<int>(i);
        return -1;
    }

    ShapeColumn& column(int index) { return shape_.columns[static_cast<size_t>(index)]; }
    static bool is_ours(std::string_view name) { return name.starts_with("_penstock_"); }

    void decide(const std::string& column, std::string_view change, std::string_view decision, std::string detail) {
        shape_.decisions.push_back({.column = column,
                                    .change = std::string(change),
                                    .decision = std::string(decision),
                                    .sql = "",
                                    .detail = std::move(detail)});
    }

    const KnownShape& known_;
    const data::Schema& source_;
    Terms terms_;
    SchemaChange policy_;
    Rewrite rewrite_;
    Shape shape_;
};

}  // namespace

data::Schema Shape::schema() const {
    data::Schema schema;
    for (const auto& column : columns) schema.fields.push_back(column.field);
    return schema;
}

bool widens(const data::Type& from, const data::Type& to) {
    if (from == to) return true;
    if (int bits = integer_bits(from.kind); bits != 0) {
        if (to.kind == Kind::decimal) return to.precision - to.scale >= integer_digits(from.kind);
        if (to.kind == Kind::float64) return bits <= 32;
        int room = integer_bits(to.kind);
        return room >= bits && (is_unsigned(from.kind) || !is_unsigned(to.kind));
    }
    if (from.kind == Kind::decimal && to.kind == Kind::decimal)
        return to.scale >= from.scale && to.precision - to.scale >= from.precision - from.scale;
    if (from.kind == Kind::float32 && to.kind == Kind::float64) return true;
    if (from.kind == Kind::json && to.kind == Kind::text) return true;
    return from.kind == Kind::list && to.kind == Kind::list &&
           widens(from.children.front().type, to.children.front().type);
}

Shape evolve(const std::optional<KnownShape>& known, const data::Schema& source, Terms terms) {
    if (known) return Comparison(*known, source, std::move(terms)).run();
    Shape shape;
    for (size_t i = 0; i < source.fields.size(); ++i)
        shape.columns.push_back({.field = source.fields[i], .source = static_cast<int>(i), .before = {}});
    shape.decisions.push_back({.column = "",
                               .change = "table_created",
                               .decision = "applied",
                               .sql = "",
                               .detail = fmt::format("{} columns", source.fields.size())});
    return shape;
}

Status check_refused(const std::string& table, const std::vector<SchemaDecision>& decisions) {
    std::string refused;
    for (const auto& decision : decisions)
        if (decision.decision == "refused")
            refused += fmt::format("{}{} {} ({})", refused.empty() ? "" : ", ", decision.change, decision.column,
                                   decision.detail);
    if (refused.empty()) return {};
    return fail({.kind = ErrorKind::schema,
                 .code = "schema_change_refused",
                 .message = fmt::format("the source of {} has changed: {}", table, refused),
                 .hint = "run once with --full-refresh to rebuild the table; where `schema_change` is not evolve, that "
                         "follows too"});
}

}  // namespace penstock::parquet
