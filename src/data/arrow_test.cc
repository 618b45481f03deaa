#include "data/arrow.h"

#include <arrow/api.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>
#include <random>

#include "data/timetz.h"

namespace penstock::data {
namespace {

class Generator {
  public:
    explicit Generator(uint64_t seed) : random_(seed) {}

    Type type(int depth) {
        auto kind = static_cast<Kind>(below(depth > 0 ? 22 : 19));
        switch (kind) {
            case Kind::decimal: {
                auto precision = 1 + static_cast<int>(below(38));
                return decimal(precision, static_cast<int>(below(static_cast<uint64_t>(precision) + 1)));
            }
            case Kind::list: return list_of(type(depth - 1));
            case Kind::map: return map_of(scalar(below(2) == 0 ? Kind::text : Kind::int64), type(depth - 1));
            case Kind::structure: return structure_of(fields(1 + below(3), depth - 1));
            default: return scalar(kind);
        }
    }

    std::vector<Field> fields(size_t count, int depth) {
        std::vector<Field> out;
        for (size_t i = 0; i < count; ++i) out.push_back({.name = fmt::format("c{}", i), .type = type(depth)});
        return out;
    }

    /// Random values in rows [first, first + rows), a fifth of them null where allowed.
    void fill(Block& block, Column& column, size_t first, size_t rows, bool nullable = true) {
        if (column.layout() == Layout::structure)
            for (size_t i = 0; i < column.children().size(); ++i)
                fill(block, column.children()[i], first, rows, column.type().children[i].nullable);
        for (size_t row = first; row < first + rows; ++row) {
            if (nullable && below(5) == 0) {
                column.set_null(row);
            } else {
                put(block, column, row);
            }
        }
    }

    uint64_t below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_); }
    uint64_t bits() { return below(3) == 0 ? extremes_[below(extremes_.size())] : random_(); }

  private:
    Int128 wide() { return static_cast<Int128>(bits()) << 64 | bits(); }

    Int128 unscaled(int precision) {
        Int128 limit = 1;
        for (int i = 0; i < precision; ++i) limit *= 10;
        return wide() % limit;
    }

    void put(Block& block, Column& column, size_t row) {
        switch (column.layout()) {
            case Layout::int8: column.values<int8_t>()[row] = static_cast<int8_t>(below(2)); return;
            case Layout::int16:
                column.values<int16_t>()[row] =
                    static_cast<int16_t>(is_decimal(column) ? unscaled(column.type().precision) : wide());
                return;
            case Layout::int32:
                column.values<int32_t>()[row] =
                    static_cast<int32_t>(is_decimal(column) ? unscaled(column.type().precision) : wide());
                return;
            case Layout::int64: column.values<int64_t>()[row] = number(column); return;
            case Layout::int128:
                column.values<Int128>()[row] = is_decimal(column) ? unscaled(column.type().precision) : wide();
                return;
            case Layout::float32:
                column.values<float>()[row] = std::bit_cast<float>(static_cast<uint32_t>(bits()));
                return;
            case Layout::float64: column.values<double>()[row] = std::bit_cast<double>(bits()); return;
            case Layout::string: column.values<StringRef>()[row] = text(block, column.type().kind); return;
            case Layout::interval:
                column.values<Interval>()[row] = {static_cast<int32_t>(bits()), static_cast<int32_t>(bits()),
                                                  static_cast<int64_t>(bits()) / 1000};
                return;
            case Layout::list: {
                size_t length = below(4);
                size_t offset = column.children()[0].grow(length);
                column.values<ListEntry>()[row] = {offset, length};
                fill(block, column.children()[0], offset, length, column.type().children[0].nullable);
                return;
            }
            case Layout::structure: return;
        }
    }

    static bool is_decimal(const Column& column) { return column.type().kind == Kind::decimal; }

    int64_t number(const Column& column) {
        if (is_decimal(column)) return static_cast<int64_t>(unscaled(column.type().precision));
        if (column.type().kind == Kind::timetz)
            return static_cast<int64_t>(below(86'400'000'001)) << 24 | static_cast<int64_t>(below(2 * 57'599 + 1));
        if (column.type().kind == Kind::time) return static_cast<int64_t>(below(86'400'000'001));
        return static_cast<int64_t>(bits());
    }

    StringRef text(Block& block, Kind kind) {
        size_t size = below(30);
        char* bytes = block.allocate(size);
        for (size_t i = 0; i < size; ++i)
            bytes[i] = static_cast<char>(kind == Kind::bytes ? below(256) : 'a' + below(26));
        return {bytes, size};
    }

    std::mt19937_64 random_;
    std::array<uint64_t, 6> extremes_ = {
        0, 1, ~uint64_t{0}, uint64_t{1} << 63, (uint64_t{1} << 63) - 1, uint64_t{1} << 31};
};

bool equal(const Column& a, size_t at, const Column& b, size_t bt) {
    if (a.valid(at) != b.valid(bt)) return false;
    if (!a.valid(at)) return true;
    switch (a.layout()) {
        case Layout::string: return a.values<StringRef>()[at].view() == b.values<StringRef>()[bt].view();
        case Layout::structure:
            for (size_t i = 0; i < a.children().size(); ++i)
                if (!equal(a.children()[i], at, b.children()[i], bt)) return false;
            return true;
        case Layout::list: {
            auto left = a.values<ListEntry>()[at], right = b.values<ListEntry>()[bt];
            if (left.length != right.length) return false;
            for (size_t i = 0; i < left.length; ++i)
                if (!equal(a.children()[0], left.offset + i, b.children()[0], right.offset + i)) return false;
            return true;
        }
        default: {
            size_t width = width_of(a.layout());  // bit by bit, so that NaN and -0 count
            return std::memcmp(a.values<char>() + at * width, b.values<char>() + bt * width, width) == 0;
        }
    }
}

bool same_types(const Schema& a, const Schema& b) {
    return std::ranges::equal(a.fields, b.fields, [](const Field& x, const Field& y) {
        return x.name == y.name && to_string(x.type) == to_string(y.type);
    });
}

void check_round_trip(uint64_t seed) {
    INFO("seed " << seed);
    Generator generator(seed);
    Schema schema{generator.fields(1 + generator.below(4), 3)};
    auto arrow_schema = to_arrow(schema);
    REQUIRE(arrow_schema);
    auto schema_back = from_arrow(**arrow_schema);
    REQUIRE(schema_back);
    REQUIRE(same_types(schema, *schema_back));

    Block block(schema);
    block.rows = generator.below(100) == 0 ? block_rows : generator.below(60);
    for (auto& column : block.columns) generator.fill(block, column, 0, block.rows);
    auto batch = to_arrow(block, *arrow_schema);
    REQUIRE_MESSAGE(batch, batch.error().text());
    auto sound = (*batch)->ValidateFull();
    REQUIRE_MESSAGE(sound.ok(), sound.ToString());

    Block back(*schema_back);
    size_t first = block.rows == 0 ? 0 : generator.below(block.rows);
    REQUIRE(from_arrow(**batch, first, block.rows - first, back));
    REQUIRE(back.rows == block.rows - first);
    for (size_t column = 0; column < block.columns.size(); ++column)
        for (size_t row = 0; row < back.rows; ++row)
            REQUIRE_MESSAGE(equal(block.columns[column], first + row, back.columns[column], row),
                            to_string(schema.fields[column].type) << " at row " << first + row);
    // Sliced as others slice it, and a block that was used before.
    back.clear();
    auto slice = (*batch)->Slice(static_cast<int64_t>(first));
    REQUIRE(from_arrow(*slice, 0, block.rows - first, back));
    auto again = to_arrow(back, *arrow_schema);
    REQUIRE(again);
    REQUIRE((*again)->Equals(*slice, false, arrow::EqualOptions::Defaults().nans_equal(true)));
}

}  // namespace

TEST_CASE("any block goes to Arrow and comes back the same") {
    for (uint64_t seed = 1; seed <= 3'000; ++seed) check_round_trip(seed);
}

TEST_CASE("strings from Arrow are not copied") {
    arrow::StringBuilder builder;
    REQUIRE(builder.Append("longer than twelve bytes").ok());
    auto array = builder.Finish().ValueOrDie();
    auto batch = arrow::RecordBatch::Make(arrow::schema({arrow::field("a", arrow::utf8())}), 1, {array});
    auto schema = from_arrow(*batch->schema());
    REQUIRE(schema);
    Block block(*schema);
    REQUIRE(from_arrow(*batch, 0, 1, block));
    auto inside = static_cast<const arrow::StringArray&>(*array).GetView(0);
    CHECK(block.columns[0].values<StringRef>()[0].view().data() == inside.data());
}

TEST_CASE("what has no place is refused by name") {
    for (const auto& type :
         {arrow::null(), arrow::duration(arrow::TimeUnit::MICRO), arrow::timestamp(arrow::TimeUnit::NANO),
          arrow::fixed_size_binary(4), arrow::decimal256(70, 2), arrow::list(arrow::float16())}) {
        auto refused = from_arrow(*arrow::schema({arrow::field("odd", type)}));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == ErrorKind::schema);
    }
    Schema schema{{{.name = "i", .type = scalar(Kind::interval)}}};
    Block block(schema);
    block.rows = 1;
    block.columns[0].values<Interval>()[0] = {0, 0, std::numeric_limits<int64_t>::max()};
    auto arrow_schema = to_arrow(schema);
    REQUIRE(arrow_schema);
    auto refused = to_arrow(block, *arrow_schema);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == "interval_overflow");
}

TEST_CASE("times with an offset are written as PostgreSQL does") {
    for (std::string text :
         {"00:00:00+00", "13:45:30.25+05:30", "24:00:00-15:59:59", "23:59:59.999999+15:59:59", "01:02:03-00:00:01"}) {
        auto packed = parse_timetz(text);
        REQUIRE(packed);
        CHECK(timetz_text(*packed) == text);
    }
    for (std::string text :
         {"", "1:00:00+00", "12:00:00", "12:60:00+00", "12:00:00+16:00", "24:00:01+00", "12:00:00+00x", "12:00:00.+00"})
        CHECK_FALSE(parse_timetz(text));
}

}  // namespace penstock::data
