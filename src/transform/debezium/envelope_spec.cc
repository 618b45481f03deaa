#include "transform/debezium/envelope_spec.h"

#include "config/spec.h"

namespace penstock::debezium {

EnvelopeOptions EnvelopeChoices::options(const std::string& source_connection) const {
    return {.server = server.empty() ? source_connection : server.value,
            .schemas = schemas,
            .decimals = decimals,
            .times = times,
            .intervals = intervals,
            .binaries = binaries};
}

const config::Spec<EnvelopeChoices>& envelope_spec() {
    using E = EnvelopeChoices;
    static const auto made =
        config::Spec<E>("debezium envelope", "How a change is written; names in brackets are Debezium's own.")
            .field("server", &E::server,
                   "The source's name in `source.name`, in schema names and as {server} in the topic (topic.prefix).",
                   {.example = "shop", .default_note = "the name of the source's connection"})
            .field("schemas", &E::schemas,
                   "Send with every message the schema of its values (schemas.enable): it multiplies their size.")
            .choice("decimals", &E::decimals,
                    {{"precise", Decimals::precise, "the unscaled number's bytes, in base64"},
                     {"string", Decimals::string, "\"1234.50\""},
                     {"double", Decimals::floating, "a JSON number, rounded to the nearest double"}},
                    "How numeric values are written (decimal.handling.mode).")
            .choice("times", &E::times,
                    {{"adaptive", Times::adaptive, "milliseconds up to precision 3, else microseconds; dates as days"},
                     {"adaptive_time_microseconds", Times::adaptive_time, "the same, times of day in microseconds"},
                     {"microseconds", Times::microseconds, "all in microseconds"},
                     {"nanoseconds", Times::nanoseconds, "all in nanoseconds"},
                     {"isostring", Times::isostring, "ISO 8601 texts"},
                     {"connect", Times::connect, "milliseconds: cuts microseconds off"}},
                    "How times are written (time.precision.mode).")
            .choice("intervals", &E::intervals,
                    {{"numeric", Intervals::numeric, "microseconds, a month of 30.4375 days"},
                     {"string", Intervals::string, "ISO 8601: P1Y2M3DT4H5M6.7S"}},
                    "How intervals are written (interval.handling.mode).")
            .choice("binaries", &E::binaries,
                    {{"bytes", Binaries::bytes, "base64"},
                     {"base64", Binaries::base64, "base64, of type string in the schema"},
                     {"base64-url-safe", Binaries::base64_url, "base64 for URLs"},
                     {"hex", Binaries::hex, "two digits a byte"}},
                    "How bytea is written (binary.handling.mode).");
    return made;
}

}  // namespace penstock::debezium
