#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/block.h"
#include "flow/source.h"
#include "transform/debezium/decode_options.h"
#include "transform/debezium/decode_shape.h"

namespace penstock::debezium {

/// Bytes that must be readable behind every text that is decoded, whatever they are.
inline constexpr size_t padding = 64;

/// A message of JsonConverter: {"schema": …, "payload": …}, or the payload alone.
struct Split {
    std::string_view schema;   ///< "" where there is none
    std::string_view payload;  ///< "" for null
};

/// Divides the messages of one topic: their schemas are long and mostly the same, so that the start of the last one is kept.
class Splitter {
  public:
    /// `message` is padded. An error of kind `data` says that it is no JSON object.
    Result<Split> split(std::string_view message);

  private:
    std::string start_;  ///< {"schema":…,"payload":
    size_t schema_at_ = 0;
    size_t schema_size_ = 0;
};

/// A table as its events show it.
struct EventTable {
    flow::TableInfo info;  ///< changes; the key is the messages'
    std::vector<ColumnShape> columns;
    std::vector<size_t> key;  ///< columns of the key
    DecodeOptions options;
    bool with_schema = false;  ///< the events say of what types their columns are

    /// The table of events with this schema and this key. Without `schema` its columns are those declared; `key` is the
    /// message's, empty for a table without key; `sample` is an event, for the advice in an error.
    static Result<EventTable> make(const std::string& name, std::string_view schema, const Split& key,
                                   std::string_view sample, DecodeOptions options);
    /// Whether rows of both fit the same columns.
    bool same_shape(const EventTable& other) const;
};

/// The `op` of an envelope's payload, 0 where it is none. Padded.
char operation_of(std::string_view payload);
/// A key without white space, to be compared.
std::string canonical(std::string_view json);
/// schema.table of an envelope's source block; "" where it has none. Padded.
std::string table_of(std::string_view payload);

/// One message. All texts are padded.
struct Event {
    std::string_view key;         ///< payload; "" none
    std::string_view value;       ///< payload; "" makes it a delete of `key`: a tombstone
    uint64_t position = 0;        ///< grows with every message of a partition
    int64_t received_micros = 0;  ///< stands for the time of commit where the event has none
    int64_t identity = 0;         ///< flow::change::identity; 0 none
    std::string_view origin;      ///< with an identity: payload of the key before the row was moved
    bool moved = false;           ///< a create that moved a row: values may not have been sent
    /// Names of columns that were not sent, as a JSON list; "" where nobody says so and values must be compared.
    std::string_view unsent;
};

/// From events to rows of a change part (flow::change::part_schema). One thread.
class Decoder {
  public:
    explicit Decoder(const EventTable& table);
    Decoder(Decoder&&) noexcept;
    ~Decoder();

    enum class Outcome {
        rows,     ///< one was added to the block, or two: a row without key was updated
        nothing,  ///< no change of a row: a message of the log, a heartbeat
        refused,  ///< it cannot be held
    };
    /// The block has room for two rows. Text in it points into the event.
    Outcome decode(const Event& event, data::Block& block, Refusal& refusal);

  private:
    class Body;
    std::unique_ptr<Body> body_;
};

}  // namespace penstock::debezium
