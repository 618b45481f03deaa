#include "connect/postgres/capture/wal2json_tuples.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace penstock::postgres {
namespace {

// Oids of pg_type.dat.
constexpr uint32_t float4_oid = 700;
constexpr uint32_t float8_oid = 701;
constexpr uint32_t numeric_oid = 1700;

template <class T>
void append_big_endian(std::string& to, T value) {
    value = std::byteswap(value);
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

int32_t modifier_of(uint32_t type, std::string_view shown, int32_t otherwise) {
    std::vector<int32_t> numbers;
    auto open = shown.find('(');
    for (size_t at = open; at != shown.npos && at < shown.size() && shown[at] != ')';) {
        int32_t number = 0;
        auto [end, wrong] = std::from_chars(shown.data() + at + 1, shown.data() + shown.size(), number);
        if (wrong != std::errc()) return otherwise;
        numbers.push_back(number);
        at = static_cast<size_t>(end - shown.data());
    }
    switch (type) {
        case numeric_oid: return numbers.size() == 2 ? ((numbers[0] << 16) | (numbers[1] & 0x7ff)) + 4 : -1;
        case 1042: return numbers.size() == 1 ? numbers[0] + 4 : -1;  // char
        case 1083:                                                    // time
        case 1266:                                                    // timetz
        case 1114:                                                    // timestamp
        case 1184:                                                    // timestamptz
        case 1560: return numbers.size() == 1 ? numbers[0] : -1;      // bit
        default: return otherwise;
    }
}

Wal2jsonTuples::Wal2jsonTuples(Wal2jsonTable table) : about_(std::move(table)) {
    const auto& read = about_.table.table->read;
    is_key_.resize(read.columns.size());
    for (size_t column : about_.table.table->key) is_key_[column] = true;
    for (const auto& column : read.columns) {
        bool number = column.type == float4_oid || column.type == float8_oid || column.type == numeric_oid;
        null_is_special_.push_back(number && !column.field.nullable && !about_.special_numbers);
    }
}

Result<Change> Wal2jsonTuples::take(const Wal2jsonChange& change) {
    switch (change.action) {
        case 'I': return insert(change);
        case 'U': return update(change);
        default: return remove(change);
    }
}

Result<Change> Wal2jsonTuples::insert(const Wal2jsonChange& change) {
    if (!place(change.columns, row_) || row_.placed != in_tuple_) {
        PN_CHECK(learn(change.columns, Sent::all));
        place(change.columns, row_);
    }
    PN_CHECK(check_nulls(row_));
    write(row_, false, new_tuple_);
    return Change{.op = 'c', .schema = shape_, .new_tuple = new_tuple_};
}

Result<Change> Wal2jsonTuples::update(const Wal2jsonChange& change) {
    bool keyed = !about_.table.table->key.empty();
    if (keyed) {
        if (!place(change.columns, row_) || !only_long_ones_missing(row_)) {
            PN_CHECK(learn(change.columns, Sent::some));
            place(change.columns, row_);
        }
    } else {
        // The whole old row comes with it, and tells what the table had.
        if (change.identity.size() < change.columns.size()) return fail(identity_changed());
        if (!place(change.identity, old_row_) || old_row_.placed != in_tuple_)
            PN_CHECK(learn(change.identity, Sent::all));
        if (!place(change.columns, row_)) return fail(identity_changed());
    }
    if (!place(change.identity, old_row_)) return fail(identity_changed());
    PN_CHECK(check_identity(old_row_));
    PN_CHECK(check_nulls(row_));
    PN_CHECK(check_nulls(old_row_));
    write(row_, false, new_tuple_);
    Change out{.op = 'u', .schema = shape_, .new_tuple = new_tuple_};
    bool full = old_row_.placed == in_tuple_;
    if (!full && same_key(old_row_, row_)) return out;
    write(old_row_, !full, old_tuple_);
    out.old_tuple = old_tuple_;
    if (full) out.flags |= change_flag::full_old;
    else if (row_.placed != in_tuple_) out.flags |= change_flag::moved_unsent;
    return out;
}

Result<Change> Wal2jsonTuples::remove(const Wal2jsonChange& change) {
    if (layout_.empty() || !place(change.identity, old_row_)) {
        PN_CHECK(learn(change.identity, Sent::key));
        place(change.identity, old_row_);
    }
    PN_CHECK(check_identity(old_row_));
    PN_CHECK(check_nulls(old_row_));
    bool full = old_row_.placed == in_tuple_;
    write(old_row_, !full, old_tuple_);
    Change out{.op = 'd', .schema = shape_, .old_tuple = old_tuple_};
    if (full) out.flags |= change_flag::full_old;
    return out;
}

/// False where the layout has not all these columns, as they are.
bool Wal2jsonTuples::place(std::span<const Wal2jsonColumn> columns, Row& row) const {
    row.values.assign(layout_.size(), {.kind = 'u'});
    row.placed = 0;
    size_t at = 0;
    for (const auto& sent : columns) {
        size_t tried = 0;
        while (tried < layout_.size() && layout_[at].name != sent.name) {
            at = at + 1 == layout_.size() ? 0 : at + 1;
            ++tried;
        }
        if (tried == layout_.size()) return false;
        const Column& column = layout_[at];
        if (column.type_oid != sent.type_oid || column.type != sent.type) return false;
        row.values[at] = {.kind = sent.kind, .bytes = sent.text};
        row.placed += column.generated ? 0 : 1;
        at = at + 1 == layout_.size() ? 0 : at + 1;
    }
    return true;
}

bool Wal2jsonTuples::only_long_ones_missing(const Row& row) const {
    if (layout_.empty()) return false;
    if (row.placed == in_tuple_) return true;
    for (size_t i = 0; i < layout_.size(); ++i) {
        int column = layout_[i].column;
        if (row.values[i].kind != 'u' || layout_[i].generated || column < 0) continue;
        if (!about_.catalog.may_be_unsent[static_cast<size_t>(column)]) return false;
    }
    return true;
}

int Wal2jsonTuples::column_named(std::string_view name) const {
    const auto& columns = about_.table.table->read.columns;
    auto found = std::ranges::find(columns, name, [](const ReadColumn& c) { return std::string_view(c.field.name); });
    return found == columns.end() ? ChangeShape::not_captured : static_cast<int>(found - columns.begin());
}

/// Makes the relation message that was not sent, and asks of it what is asked of pgoutput's.
Status Wal2jsonTuples::learn(std::span<const Wal2jsonColumn> columns, Sent sent) {
    const ChangeTable& table = *about_.table.table;
    std::vector<RelationColumn> told;
    layout_.clear();
    in_tuple_ = 0;
    auto add = [&](Column column, int32_t modifier) {
        if (!column.generated) {
            told.push_back({.key = true, .name = {}, .type = column.type_oid, .type_modifier = modifier});
            ++in_tuple_;
        }
        layout_.push_back(std::move(column));
    };
    for (const auto& one : columns) {
        Column column{.name = std::string(one.name), .type = std::string(one.type), .type_oid = one.type_oid};
        column.column = column_named(one.name);
        column.generated = std::ranges::find(about_.catalog.generated, one.name) != about_.catalog.generated.end();
        int32_t modifier = -1;
        if (column.column >= 0) {
            const auto& read = table.read.columns[static_cast<size_t>(column.column)];
            bool same = read.field.source_type == one.type;
            modifier = same ? read.modifier : modifier_of(one.type_oid, one.type, read.modifier - 1);
        }
        add(std::move(column), modifier);
    }
    for (size_t i = 0; i < table.read.columns.size() && sent != Sent::all; ++i) {
        const auto& read = table.read.columns[i];
        if (std::ranges::find(columns, read.field.name, &Wal2jsonColumn::name) != columns.end()) continue;
        if (sent == Sent::some && !about_.catalog.may_be_unsent[i]) continue;
        add({.name = read.field.name,
             .type = read.field.source_type,
             .type_oid = read.type,
             .column = static_cast<int>(i)},
            read.modifier);
    }
    size_t next = 0;
    for (const auto& column : layout_)
        if (!column.generated) told[next++].name = column.name;
    RelationMessage message{.relation = table.read.oid,
                            .schema = table.read.schema,
                            .name = table.read.relation,
                            .replica_identity = table.key.empty() ? 'f' : 'd',
                            .columns = told};
    PN_TRY(auto shape, match_shape(table, message));
    if (!shape.complete) PN_CHECK(about_.columns_now(table, message));
    shape_ = about_.table.shapes->add(std::move(shape));
    return {};
}

/// wal2json 2.5 and older write null for what JSON has no number for. Where NULL is allowed, nobody can tell: see
/// check_wal2json_tables().
Status Wal2jsonTuples::check_nulls(const Row& row) const {
    for (size_t i = 0; i < layout_.size(); ++i) {
        int column = layout_[i].column;
        if (row.values[i].kind != 'n' || column < 0 || !null_is_special_[static_cast<size_t>(column)]) continue;
        const auto& table = about_.table.table->read.info.name;
        return fail({.kind = ErrorKind::data,
                     .code = "special_number",
                     .message = fmt::format("column {} of {} is NOT NULL, and a change of it came as null: wal2json "
                                            "writes NaN and infinities so, and does not tell which it was",
                                            layout_[i].name, table),
                     .where = "table " + table,
                     .hint = "use plugin: pgoutput with a slot of its own, or wal2json 2.6, then run once with "
                             "--full-refresh"});
    }
    return {};
}

Status Wal2jsonTuples::check_identity(const Row& old) const {
    const auto& key = about_.table.table->key;
    if (key.empty()) return old.placed == in_tuple_ ? Status() : fail(identity_changed());
    size_t found = 0;
    for (size_t i = 0; i < layout_.size(); ++i) {
        int column = layout_[i].column;
        if (column >= 0 && is_key_[static_cast<size_t>(column)] && old.values[i].kind == 't') ++found;
    }
    return found == key.size() ? Status() : fail(identity_changed());
}

bool Wal2jsonTuples::same_key(const Row& old, const Row& row) const {
    for (size_t i = 0; i < layout_.size(); ++i) {
        int column = layout_[i].column;
        if (column < 0 || !is_key_[static_cast<size_t>(column)]) continue;
        if (row.values[i].kind != 't' || row.values[i].bytes != old.values[i].bytes) return false;
    }
    return true;
}

/// As pgoutput lays out a tuple ("Logical Replication Message Formats", TupleData).
void Wal2jsonTuples::write(const Row& row, bool key_only, std::string& tuple) const {
    tuple.clear();
    append_big_endian(tuple, static_cast<uint16_t>(in_tuple_));
    for (size_t i = 0; i < layout_.size(); ++i) {
        if (layout_[i].generated) continue;
        Tuple::Value value = row.values[i];
        int column = layout_[i].column;
        if (key_only && (column < 0 || !is_key_[static_cast<size_t>(column)])) value = {.kind = 'n'};
        tuple += value.kind;
        if (value.kind != 't') continue;
        append_big_endian(tuple, static_cast<uint32_t>(value.bytes.size()));
        tuple += value.bytes;
    }
}

Error Wal2jsonTuples::identity_changed() const {
    const auto& table = about_.table.table->read.info.name;
    return {.kind = ErrorKind::schema,
            .code = "identity_changed",
            .message = fmt::format("the replica identity of {} is not what it was when these changes were made", table),
            .where = "table " + table,
            .hint = "run once with --full-refresh, which reads the tables anew and goes on from there"};
}

}  // namespace penstock::postgres
