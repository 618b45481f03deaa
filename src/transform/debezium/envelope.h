#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/block.h"
#include "flow/source.h"

namespace penstock::debezium {

/// `decimal.handling.mode`.
enum class Decimals {
    precise,   ///< two's complement of the unscaled value in base64; without bounds {scale, value}
    string,    ///< "1234.50"
    floating,  ///< a JSON number: rounded to the nearest double
};

/// `time.precision.mode`.
enum class Times {
    adaptive,       ///< milliseconds up to precision 3, else microseconds; dates as days
    adaptive_time,  ///< the same, times always in microseconds
    microseconds,
    nanoseconds,
    isostring,
    connect,  ///< milliseconds always: cuts microseconds off
};

/// `interval.handling.mode`.
enum class Intervals {
    numeric,  ///< microseconds, a month of 30.4375 days
    string,   ///< ISO 8601: "P1Y2M3DT4H5M6.7S"
};

/// `binary.handling.mode`.
enum class Binaries {
    bytes,       ///< base64, and type bytes in the schema
    base64,      ///< base64, and type string
    base64_url,  ///< base64url, and type string
    hex,
};

/// What stands in a value that the source did not send: as Debezium writes it.
inline constexpr std::string_view unavailable_value = "__debezium_unavailable_value";

struct EnvelopeOptions {
    std::string server;                    ///< `topic.prefix`: source.name, and the first part of schema names
    std::string connector = "postgresql";  ///< source.connector
    std::string version;                   ///< source.version
    bool schemas = false;                  ///< {"schema":…,"payload":…} of keys and values
    bool tombstones = true;                ///< after each delete of a row with a key
    bool transactions = false;             ///< the `transaction` block
    Decimals decimals = Decimals::precise;
    Times times = Times::adaptive;
    Intervals intervals = Intervals::numeric;
    Binaries binaries = Binaries::bytes;
};

/// One message for a bus. Views stay valid until the encoder's next row.
struct Message {
    char op = 0;                            ///< c u d r t; a tombstone has its delete's
    std::optional<std::string_view> key;    ///< JSON; nothing: the table has no key, or a truncate
    std::optional<std::string_view> value;  ///< JSON; nothing: a tombstone
    std::string_view position;    ///< flow::change::position of the row: sorts, and is unique but for the tombstone
    int64_t committed_at_ms = 0;  ///< of the source's transaction, since 1970
    /// For headers, JSON, "" where they do not apply. An update that moves a row to another key is a delete, a tombstone and a
    /// create: the first two name the `new_key`, the last the `old_key` (Debezium's __debezium.newkey and oldkey).
    std::string_view new_key;
    std::string_view old_key;
    /// Names of the columns whose values are `unavailable_value`, ["big"], so that nobody has to compare values.
    std::string_view unavailable;
};

/// Rows of change parts (flow/change.h) as Debezium's PostgreSQL connector writes them. What differs on purpose stands in
/// docs/how-to/debezium.md. One table, one thread; an encoder for each reader of a scan.
class Encoder {
  public:
    /// `part` is the scan's schema: part_schema(), snapshot_schema(), with or without before images. Names that are not there
    /// are not needed. Both must outlive the encoder.
    static Result<Encoder> make(const flow::TableInfo& info, const data::Schema& part, EnvelopeOptions options);
    Encoder(Encoder&&) noexcept;
    Encoder& operator=(Encoder&&) noexcept;
    ~Encoder();

    /// The messages of one row, one or two, into `out`, which is emptied first. An error of kind `data` says that the value
    /// has no form under the options (NaN among precise decimals): the row is a reject, the encoder goes on.
    Status encode(const data::Block& block, size_t row, std::vector<Message>& out);

    /// A row as one JSON object of values, for a reject's payload and key: the same encodings, no envelope.
    std::string row_json(const data::Block& block, size_t row) const;
    std::string key_json(const data::Block& block, size_t row) const;
    /// flow::change::position of the row.
    std::string_view position(const data::Block& block, size_t row) const;

  private:
    class Body;
    explicit Encoder(std::unique_ptr<Body> body);
    std::unique_ptr<Body> body_;
};

/// "shop.public.orders" of "{server}.{schema}.{table}": also {database}. Characters that no topic name may have become '_'.
Result<std::string> topic_name(std::string_view pattern, std::string_view server, const flow::TableInfo& info);

/// "public" and "orders" of TableInfo::name.
struct TableParts {
    std::string schema;
    std::string table;
};
TableParts parts_of(const flow::TableInfo& info);

}  // namespace penstock::debezium
