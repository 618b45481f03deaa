#include <fmt/format.h>

#include "connect/postgres/reader.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

bool malformed(ReadContext& context, const char* type) {
    return context.refuse("malformed", fmt::format("the server sent bytes that are no {}", type));
}

/// The next field of a nested value into `row` of a child, NULL included.
bool read_child(const Reader& reader, WireCursor& wire, data::Column& column, size_t row, ReadContext& context) {
    FieldRef field = wire.field();
    if (!wire.ok()) return malformed(context, "nested value");
    if (field.is_null()) return column.set_null(row), true;
    return reader.read(field, column, row, context);
}

/// The next field of a nested value as JSON; false at the end of what can be understood.
bool render_child(const Reader& reader, WireCursor& wire, std::string& json) {
    FieldRef field = wire.field();
    if (field.is_null()) json += "null";
    else reader.render(field, json);
    return wire.ok();
}

/// array_send: dimensions, a flag, the element type, then (size, lower bound) per dimension and the elements in row-major
/// order. The column's depth is fixed by its declaration; a value of another depth is refused.
class ArrayReader final : public ReaderOf<ArrayReader> {
  public:
    ArrayReader(ReaderPtr element, int dimensions) : element_(std::move(element)), dimensions_(dimensions) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        WireCursor wire(field.view());
        int32_t sizes[most_dimensions];
        int dimensions = read_header(wire, sizes);
        if (dimensions < 0) return malformed(context, "array");
        if (dimensions == 0) return column.values<data::ListEntry>()[row] = {column.children()[0].size(), 0}, true;
        if (dimensions != dimensions_)
            return context.refuse(
                "array_dimensions",
                fmt::format("an array of {} dimensions in a column declared with {}", dimensions, dimensions_));
        return read_level(wire, sizes, dimensions, column, row, context);
    }

    void render(FieldRef field, std::string& json) const override {
        WireCursor wire(field.view());
        int32_t sizes[most_dimensions];
        int dimensions = read_header(wire, sizes);
        if (dimensions < 0) return append_json_bytes(field.view(), json);
        if (dimensions == 0) json += "[]";
        else render_level(wire, sizes, dimensions, json);
    }

  private:
    static constexpr int most_dimensions = 6;  // MAXDIM of the server

    /// Sizes of the dimensions; their number, or -1 for what is no array.
    static int read_header(WireCursor& wire, int32_t (&sizes)[most_dimensions]) {
        auto dimensions = wire.integer<int32_t>();
        wire.bytes(8);
        if (!wire.ok() || dimensions < 0 || dimensions > most_dimensions) return -1;
        auto longest = static_cast<int64_t>(wire.left());
        int64_t total = 1;
        for (int i = 0; i < dimensions; ++i) {
            sizes[i] = wire.integer<int32_t>();
            wire.integer<int32_t>();  // lower bound: said in the column's note, not kept
            // An array without elements has no dimensions, and every element takes at least its length word: so a lying
            // header can neither make us allocate nor loop.
            if (!wire.ok() || sizes[i] < 1) return -1;
            total *= sizes[i];
            if (total > longest) return -1;
        }
        return dimensions;
    }

    void render_level(WireCursor& wire, const int32_t* sizes, int levels, std::string& json) const {
        json += '[';
        for (int32_t i = 0; i < sizes[0] && wire.ok(); ++i) {
            if (i != 0) json += ',';
            if (levels > 1) render_level(wire, sizes + 1, levels - 1, json);
            else if (!render_child(*element_, wire, json)) break;
        }
        json += ']';
    }

    bool read_level(WireCursor& wire, const int32_t* sizes, int levels, data::Column& column, size_t row,
                    ReadContext& context) const {
        auto& child = column.children()[0];
        auto count = static_cast<size_t>(sizes[0]);
        size_t first = child.grow(count);
        column.values<data::ListEntry>()[row] = {first, count};
        for (size_t i = first; i < first + count; ++i) {
            bool done = levels > 1 ? read_level(wire, sizes + 1, levels - 1, child, i, context)
                                   : read_child(*element_, wire, child, i, context);
            if (!done) return false;
        }
        return true;
    }

    ReaderPtr element_;
    int dimensions_;
};

/// record_send: a count, then type and value of each attribute that is not dropped.
class CompositeReader final : public ReaderOf<CompositeReader> {
  public:
    CompositeReader(std::vector<std::string> names, std::vector<ReaderPtr> fields)
        : names_(std::move(names)), fields_(std::move(fields)) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        WireCursor wire(field.view());
        auto count = wire.integer<int32_t>();
        if (!wire.ok() || count != static_cast<int32_t>(fields_.size()))
            return context.refuse(
                "composite_shape",
                fmt::format("a composite value of {} fields where {} were declared", count, fields_.size()));
        for (size_t i = 0; i < fields_.size(); ++i) {
            wire.bytes(4);  // the attribute's type
            if (!read_child(*fields_[i], wire, column.children()[i], row, context)) return false;
        }
        return true;
    }

    void render(FieldRef field, std::string& json) const override {
        WireCursor wire(field.view());
        wire.bytes(4);
        json += '{';
        for (size_t i = 0; i < fields_.size(); ++i) {
            if (i != 0) json += ',';
            append_json_string(names_[i], json);
            json += ':';
            wire.bytes(4);
            if (!render_child(*fields_[i], wire, json)) break;
        }
        json += '}';
    }

  private:
    std::vector<std::string> names_;
    std::vector<ReaderPtr> fields_;
};

/// range_send: a flag byte, then the bounds that are there. Becomes struct{lower, upper, lower_inclusive,
/// upper_inclusive, empty}; an unbounded side is a NULL bound.
class RangeReader final : public ReaderOf<RangeReader> {
  public:
    explicit RangeReader(ReaderPtr bound) : bound_(std::move(bound)) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        WireCursor wire(field.view());
        auto flags = wire.integer<uint8_t>();
        if (!wire.ok()) return malformed(context, "range");
        auto& parts = column.children();
        bool empty = (flags & 0x01) != 0;
        for (size_t side = 0; side < 2; ++side) {
            bool unbounded = empty || (flags & (side == 0 ? 0x08 : 0x10)) != 0;
            if (unbounded) parts[side].set_null(row);
            else if (!read_child(*bound_, wire, parts[side], row, context)) return false;
            parts[2 + side].values<uint8_t>()[row] = (flags & (side == 0 ? 0x02 : 0x04)) != 0;
        }
        parts[4].values<uint8_t>()[row] = empty;
        return true;
    }

    /// [lower,upper) as PostgreSQL writes it; quotes around bounds are always allowed.
    void render(FieldRef field, std::string& json) const override {
        WireCursor wire(field.view());
        auto flags = wire.integer<uint8_t>();
        if ((flags & 0x01) != 0) return append_json_string("empty", json);
        std::string text = (flags & 0x02) != 0 ? "[" : "(";
        if ((flags & 0x08) == 0) render_child(*bound_, wire, text);
        text += ',';
        if ((flags & 0x10) == 0) render_child(*bound_, wire, text);
        text += (flags & 0x04) != 0 ? "]" : ")";
        append_json_string(text, json);
    }

  private:
    ReaderPtr bound_;
};

class MultirangeReader final : public ReaderOf<MultirangeReader> {
  public:
    explicit MultirangeReader(ReaderPtr range) : range_(std::move(range)) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        WireCursor wire(field.view());
        auto count = wire.integer<uint32_t>();
        if (!wire.ok() || count > wire.left()) return malformed(context, "multirange");
        auto& child = column.children()[0];
        size_t first = child.grow(count);
        column.values<data::ListEntry>()[row] = {first, count};
        for (size_t i = first; i < first + count; ++i)
            if (!read_child(*range_, wire, child, i, context)) return false;
        return true;
    }

    void render(FieldRef field, std::string& json) const override {
        WireCursor wire(field.view());
        auto count = wire.integer<uint32_t>();
        json += '[';
        for (uint32_t i = 0; i < count && wire.ok(); ++i) {
            if (i != 0) json += ',';
            if (!render_child(*range_, wire, json)) break;
        }
        json += ']';
    }

  private:
    ReaderPtr range_;
};

/// hstore_send: a count, then key and value of each pair; only values may be NULL.
class HstoreReader final : public ReaderOf<HstoreReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        WireCursor wire(field.view());
        auto count = wire.integer<uint32_t>();
        if (!wire.ok() || count > wire.left()) return malformed(context, "hstore");
        auto& entries = column.children()[0];
        size_t first = entries.grow(count);
        column.values<data::ListEntry>()[row] = {first, count};
        for (size_t i = first; i < first + count; ++i)
            for (auto& part : entries.children())
                if (!read_child(*text_, wire, part, i, context)) return false;
        return true;
    }

    void render(FieldRef field, std::string& json) const override {
        WireCursor wire(field.view());
        auto count = wire.integer<uint32_t>();
        json += '{';
        for (uint32_t i = 0; i < count && wire.ok(); ++i) {
            if (i != 0) json += ',';
            render_child(*text_, wire, json);
            json += ':';
            if (!render_child(*text_, wire, json)) break;
        }
        json += '}';
    }

  private:
    ReaderPtr text_ = text_reader(false);
};

}  // namespace

ReaderPtr array_reader(ReaderPtr element, int dimensions) {
    return std::make_shared<ArrayReader>(std::move(element), dimensions);
}
ReaderPtr composite_reader(std::vector<std::string> names, std::vector<ReaderPtr> fields) {
    return std::make_shared<CompositeReader>(std::move(names), std::move(fields));
}
ReaderPtr range_reader(ReaderPtr bound) { return std::make_shared<RangeReader>(std::move(bound)); }
ReaderPtr multirange_reader(ReaderPtr range) { return std::make_shared<MultirangeReader>(std::move(range)); }
ReaderPtr hstore_reader() { return std::make_shared<HstoreReader>(); }

}  // namespace penstock::postgres
