#include <fmt/format.h>

#include <limits>

#include "base/calendar.h"
#include "connect/postgres/reader.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

bool wrong_size(ReadContext& context, const char* type, FieldRef field) {
    return context.refuse("malformed", fmt::format("the server sent {} bytes that are no {}", field.length, type));
}

/// Dates and timestamps share everything but the integer's width: Wire counts units since 2000, the largest and smallest
/// values mean infinity.
template <class Wire, Wire epoch, bool with_zone>
class PointReader final : public ReaderOf<PointReader<Wire, epoch, with_zone>> {
  public:
    explicit PointReader(TimeLimits limits) : limits_(limits) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != sizeof(Wire)) [[unlikely]]
            return wrong_size(context, "date or timestamp", field);
        auto value = static_cast<Wire>(load_big_endian<std::make_unsigned_t<Wire>>(field.data));
        if (value == most || value == least) [[unlikely]]
            return infinite(value == most, column, row, context);
        // Years past 294246 do not fit 64 bits of microseconds since 1970.
        if (value >= most - epoch) [[unlikely]]
            return special("out_of_range", "a time after 294247-01-10 does not fit microseconds since 1970", most - 1,
                           column, row, context);
        column.values<Wire>()[row] = value + epoch;
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != sizeof(Wire)) return append_json_bytes(field.view(), json);
        auto value = static_cast<Wire>(load_big_endian<std::make_unsigned_t<Wire>>(field.data));
        if constexpr (sizeof(Wire) == 4) append_json_string(date_text(value), json);
        else append_json_string(timestamp_text(value, with_zone), json);
    }

  private:
    static constexpr Wire most = std::numeric_limits<Wire>::max();
    static constexpr Wire least = std::numeric_limits<Wire>::min();

    bool infinite(bool positive, data::Column& column, size_t row, ReadContext& context) const {
        Wire stored = positive ? most : -most;
        if (limits_.infinite) return column.values<Wire>()[row] = stored, true;
        // Clamped to the last and first day that PostgreSQL itself writes with four digits of year.
        constexpr int64_t unit = sizeof(Wire) == 4 ? 1 : micros_per_day;
        auto bound = static_cast<Wire>(positive ? 2932897 * unit - 1 : -719162 * unit);
        return special("infinite_date",
                       positive ? "infinity has no place in the target" : "-infinity has no place in the target", bound,
                       column, row, context);
    }

    bool special(const char* code, const char* reason, Wire bound, data::Column& column, size_t row,
                 ReadContext& context) const {
        switch (limits_.specials) {
            case config::SpecialDates::null: return column.set_null(row), true;
            case config::SpecialDates::clamp: return column.values<Wire>()[row] = bound, true;
            case config::SpecialDates::reject: return context.refuse(code, reason);
        }
        std::unreachable();
    }

    TimeLimits limits_;
};

class TimeReader final : public ReaderOf<TimeReader> {
  public:
    explicit TimeReader(TimeLimits limits) : limits_(limits) {}

    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != 8) [[unlikely]]
            return wrong_size(context, "time", field);
        auto value = static_cast<int64_t>(load_big_endian<uint64_t>(field.data));
        if (value == micros_per_day && !limits_.end_of_day) [[unlikely]] {
            if (limits_.specials == config::SpecialDates::null) return column.set_null(row), true;
            if (limits_.specials != config::SpecialDates::clamp)
                return context.refuse("end_of_day", "24:00:00 has no place in the target");
            value = micros_per_day - 1;
        }
        column.values<int64_t>()[row] = value;
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != 8) return append_json_bytes(field.view(), json);
        append_json_string(time_text(static_cast<int64_t>(load_big_endian<uint64_t>(field.data))), json);
    }

  private:
    TimeLimits limits_;
};

class TimetzReader final : public ReaderOf<TimetzReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != 12) [[unlikely]]
            return wrong_size(context, "timetz", field);
        auto micros = load_big_endian<uint64_t>(field.data);
        auto seconds_west = static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 8));
        if (micros > micros_per_day || seconds_west < -57599 || seconds_west > 57599) [[unlikely]]
            return context.refuse("out_of_range", "an offset beyond 15:59:59 does not fit the target");
        column.values<uint64_t>()[row] = micros << 24 | static_cast<uint64_t>(57599 + seconds_west);
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != 12) return append_json_bytes(field.view(), json);
        auto seconds_west = static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 8));
        append_json_string(
            time_text(static_cast<int64_t>(load_big_endian<uint64_t>(field.data))) + offset_text(-seconds_west), json);
    }
};

class IntervalReader final : public ReaderOf<IntervalReader> {
  public:
    bool read(FieldRef field, data::Column& column, size_t row, ReadContext& context) const override {
        if (field.length != 16) [[unlikely]]
            return wrong_size(context, "interval", field);
        data::Interval value = {.months = static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 12)),
                                .days = static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 8)),
                                .micros = static_cast<int64_t>(load_big_endian<uint64_t>(field.data))};
        // Infinite intervals (PostgreSQL 17) have all three at their extreme.
        if (value.micros == std::numeric_limits<int64_t>::max() ||
            value.micros == std::numeric_limits<int64_t>::min()) {
            bool month_too = value.months == std::numeric_limits<int32_t>::max() ||
                             value.months == std::numeric_limits<int32_t>::min();
            if (month_too)
                return context.refuse("infinite_interval", "an infinite interval has no place in the target");
        }
        column.values<data::Interval>()[row] = value;
        return true;
    }
    void render(FieldRef field, std::string& json) const override {
        if (field.length != 16) return append_json_bytes(field.view(), json);
        // PostgreSQL reads this form back exactly.
        append_json_string(
            fmt::format("{} mons {} days {} us", static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 12)),
                        static_cast<int32_t>(load_big_endian<uint32_t>(field.data + 8)),
                        static_cast<int64_t>(load_big_endian<uint64_t>(field.data))),
            json);
    }
};

}  // namespace

ReaderPtr date_reader(TimeLimits limits) { return std::make_shared<PointReader<int32_t, epoch_days, false>>(limits); }
ReaderPtr timestamp_reader(TimeLimits limits) {
    return std::make_shared<PointReader<int64_t, epoch_micros, false>>(limits);
}
ReaderPtr timestamptz_reader(TimeLimits limits) {
    return std::make_shared<PointReader<int64_t, epoch_micros, true>>(limits);
}
ReaderPtr time_reader(TimeLimits limits) { return std::make_shared<TimeReader>(limits); }
ReaderPtr timetz_reader() { return std::make_shared<TimetzReader>(); }
ReaderPtr interval_reader() { return std::make_shared<IntervalReader>(); }

}  // namespace penstock::postgres
