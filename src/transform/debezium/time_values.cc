#include <fmt/format.h>

#include "transform/debezium/times.h"
#include "transform/debezium/value_forms.h"

namespace penstock::debezium {
namespace {

/// The names of a count in milliseconds, microseconds or nanoseconds.
struct Names {
    std::string_view millis, micros, nanos, iso, connect;
};
constexpr Names of_time = {"io.debezium.time.Time", "io.debezium.time.MicroTime", "io.debezium.time.NanoTime",
                           "io.debezium.time.IsoTime", "org.apache.kafka.connect.data.Time"};
constexpr Names of_timestamp = {"io.debezium.time.Timestamp", "io.debezium.time.MicroTimestamp",
                                "io.debezium.time.NanoTimestamp", "io.debezium.time.IsoTimestamp",
                                "org.apache.kafka.connect.data.Timestamp"};

int64_t floor_millis(int64_t micros) { return micros / 1'000 - (micros % 1'000 < 0 ? 1 : 0); }

/// Infinity stays the largest number there is, whatever the unit.
bool is_infinite(int64_t micros) { return micros == infinite_micros || micros == -infinite_micros; }

ValueEncoderPtr millis_value(Form shape) {
    return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
        int64_t micros = column.values<int64_t>()[row];
        append_integer(is_infinite(micros) ? micros : floor_millis(micros), out);
    });
}

ValueEncoderPtr micros_value(Form shape) {
    return formed(std::move(shape), [](const data::Column& column, size_t row, std::string& out) {
        append_integer(column.values<int64_t>()[row], out);
    });
}

ValueEncoderPtr nanos_value(Form shape) {
    return formed_or_refused(std::move(shape), [](const data::Column& column, size_t row, Out& out) {
        int64_t micros = column.values<int64_t>()[row], nanos = micros;
        if (!is_infinite(micros) && __builtin_mul_overflow(micros, int64_t{1'000}, &nanos)) {
            out.refusal = "no 64-bit count of nanoseconds reaches this time: `times: microseconds` does";
            return false;
        }
        append_integer(nanos, out.text);
        return true;
    });
}

ValueEncoderPtr counted(const Names& names, int precision, Times mode, std::string_view millis_type) {
    switch (mode) {
        case Times::nanoseconds: return nanos_value(form("int64", names.nanos));
        case Times::microseconds: return micros_value(form("int64", names.micros));
        case Times::connect: return millis_value(form(millis_type, names.connect));
        default: break;
    }
    if (precision <= 3) return millis_value(form(millis_type, names.millis));
    return micros_value(form("int64", names.micros));
}

template <class Append>
ValueEncoderPtr quoted(std::string_view name, Append append) {
    return formed(form("string", name), [append](const data::Column& column, size_t row, std::string& out) {
        out += '"';
        append(column.values<int64_t>()[row], out);
        out += '"';
    });
}

}  // namespace

ValueEncoderPtr date_value(Times mode) {
    if (mode == Times::isostring)
        return formed(form("string", "io.debezium.time.IsoDate"),
                      [](const data::Column& column, size_t row, std::string& out) {
                          int32_t days = column.values<int32_t>()[row];
                          out += '"';
                          if (days == infinite_days || days == -infinite_days) {
                              out += days > 0 ? "infinity" : "-infinity";
                          } else {
                              append_iso_date(days, out);
                              out += 'Z';
                          }
                          out += '"';
                      });
    auto name = mode == Times::connect ? "org.apache.kafka.connect.data.Date" : "io.debezium.time.Date";
    return formed(form("int32", name), [](const data::Column& column, size_t row, std::string& out) {
        append_integer(column.values<int32_t>()[row], out);
    });
}

ValueEncoderPtr time_value(int precision, Times mode) {
    if (mode == Times::isostring)
        return quoted("io.debezium.time.IsoTime", [](int64_t micros, std::string& out) {
            append_iso_time(micros, out);
            out += 'Z';
        });
    return counted(of_time, mode == Times::adaptive_time ? 6 : precision, mode, "int32");
}

ValueEncoderPtr timetz_value() { return quoted("io.debezium.time.ZonedTime", append_iso_timetz); }

ValueEncoderPtr timestamp_value(int precision, Times mode) {
    if (mode == Times::isostring) return quoted("io.debezium.time.IsoTimestamp", append_iso_timestamp);
    return counted(of_timestamp, precision, mode, "int64");
}

ValueEncoderPtr timestamptz_value() { return quoted("io.debezium.time.ZonedTimestamp", append_iso_timestamp); }

ValueEncoderPtr interval_value(Intervals mode) {
    if (mode == Intervals::string)
        return formed(form("string", "io.debezium.time.Interval"),
                      [](const data::Column& column, size_t row, std::string& out) {
                          out += '"';
                          append_iso_interval(column.values<data::Interval>()[row], out);
                          out += '"';
                      });
    return formed_or_refused(form("int64", "io.debezium.time.MicroDuration"),
                             [](const data::Column& column, size_t row, Out& out) {
                                 const auto& value = column.values<data::Interval>()[row];
                                 constexpr data::Int128 day = 86'400'000'000, month = 2'629'800'000'000;
                                 data::Int128 micros = value.months * month + value.days * day + value.micros;
                                 if (micros > INT64_MAX || micros < INT64_MIN) {
                                     out.refusal =
                                         "no 64-bit count of microseconds holds this interval: `intervals: "
                                         "string` does";
                                     return false;
                                 }
                                 append_integer(static_cast<int64_t>(micros), out.text);
                                 return true;
                             });
}

}  // namespace penstock::debezium
