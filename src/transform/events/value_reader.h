#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/block.h"
#include "transform/events/event_table.h"
#include "transform/events/json_cursor.h"

namespace penstock::events {

/// Why an event cannot be a row of its table.
struct Refusal {
    std::string column = {};  ///< of the table, or ""
    std::string path = {};    ///< in the event: items[2].price
    std::string code = {};
    std::string reason = {};
};

/// Which fields of an object were met.
class SeenFields {
  public:
    explicit SeenFields(size_t fields) {
        if (fields > 64) many_.resize(fields);
    }
    /// False when it was there before.
    bool add(size_t field) {
        if (has(field)) return false;
        if (many_.empty()) few_ |= uint64_t{1} << field;
        else many_[field] = true;
        return true;
    }
    bool has(size_t field) const { return many_.empty() ? (few_ >> field & 1) != 0 : many_[field]; }

  private:
    uint64_t few_ = 0;
    std::vector<bool> many_;
};

/// Reads the values of one event into columns. Each step is false, with the refusal set, when a column cannot hold exactly what stands
/// there, or it is no JSON. Text without escapes is not copied: it points into the event.
class ValueReader {
  public:
    ValueReader(JsonCursor& cursor, data::Block& block, Refusal& refusal)
        : cursor_(cursor), block_(block), refusal_(refusal) {}

    /// One value into `row` of the column.
    bool read(const FieldPlan& plan, data::Column& column, size_t row);
    /// An object's members into `row` of the columns of the plan's children, each at most once; `seen` says which were there.
    /// unknown(name) has to go over the value of a member that is none of them.
    template <class Unknown>
    bool read_fields(const FieldPlan& plan, std::vector<data::Column>& columns, size_t row, SeenFields& seen,
                     Unknown&& unknown) {
        size_t next = 0;
        bool good = cursor_.object([&](std::string_view name) {
            int found = -1;
            if (!find(plan, name, next, found)) return false;
            if (found < 0) return unknown(name);
            auto at = static_cast<size_t>(found);
            if (!seen.add(at)) return refuse("field_twice", "the field is there twice") || inside(name);
            next = at + 1;
            return read(plan.children[at], columns[at], row) || inside(name);
        });
        return good || (refusal_.code.empty() && broken());
    }
    /// NULL where nothing was seen; refused where something must be.
    bool fill_missing(const FieldPlan& plan, std::vector<data::Column>& columns, size_t row, const SeenFields& seen);

    bool refuse(std::string code, std::string reason);
    /// The cursor met no JSON.
    bool broken();
    /// The refusal was met inside: path[index] or path.name of it.
    bool inside(std::string_view name);

  private:
    bool find(const FieldPlan& plan, std::string_view& name, size_t next, int& found);
    bool read_string(const FieldPlan& plan, data::Column& column, size_t row);
    bool store_string(const FieldPlan& plan, std::string_view text, bool copied, data::Column& column, size_t row);
    bool read_bytes(std::string_view text, data::Column& column, size_t row);
    bool read_token(const FieldPlan& plan, data::Column& column, size_t row);
    bool read_number(const FieldPlan& plan, std::string_view token, data::Column& column, size_t row);
    bool read_list(const FieldPlan& plan, data::Column& column, size_t row);
    bool read_struct(const FieldPlan& plan, data::Column& column, size_t row);
    bool wrong(const FieldPlan& plan, std::string_view found);
    std::string_view keep(std::string_view text);

    JsonCursor& cursor_;
    data::Block& block_;
    Refusal& refusal_;
    std::string scratch_;
};

/// Of a text whose first character opens no object: whether it is other JSON, or none.
void refuse_other(JsonCursor& cursor, Refusal& refusal);

/// What keeps text from being a value of a column; no code where nothing does. In scalar_text.cc.
struct Fault {
    const char* code = nullptr;
    std::string reason = {};
    explicit operator bool() const { return code != nullptr; }
};
Fault store_integer(std::string_view token, data::Column& column, size_t row);
Fault store_floating(std::string_view token, data::Column& column, size_t row);
/// What doubles have beyond JSON's numbers, in the words of Protobuf's JSON: "NaN", "Infinity", "-Infinity".
bool store_no_number(std::string_view text, data::Column& column, size_t row);
Fault store_decimal(std::string_view token, data::Column& column, size_t row);
Fault store_date(std::string_view text, data::Column& column, size_t row);
Fault store_time(std::string_view text, data::Column& column, size_t row);
Fault store_timestamp(std::string_view text, data::Column& column, size_t row);
Fault store_uuid(std::string_view text, data::Column& column, size_t row);

}  // namespace penstock::events
