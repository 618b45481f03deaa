#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::payload {

enum class AvroKind {
    null,
    boolean,
    int32,
    int64,
    float32,
    float64,
    bytes,
    string,
    record,
    enumeration,
    array,
    map,
    choice,  ///< a union
    fixed,
};

/// What a value means beyond its kind.
enum class AvroLogical {
    none,
    decimal,
    uuid,
    date,
    time_millis,
    time_micros,
    timestamp_millis,
    timestamp_micros,
    timestamp_nanos,
    local_timestamp_millis,
    local_timestamp_micros,
    local_timestamp_nanos,
    duration,
};

struct AvroType;

struct AvroField {
    std::string name;
    const AvroType* type;
};

struct AvroType {
    AvroKind kind = AvroKind::null;
    AvroLogical logical = AvroLogical::none;
    int scale = 0;                       ///< of a decimal
    size_t size = 0;                     ///< of a fixed, bytes
    std::vector<std::string> symbols;    ///< of an enumeration
    std::vector<AvroField> fields;       ///< of a record
    std::vector<const AvroType*> parts;  ///< of a union its branches, of an array or map the item
};

/// A writer's schema (Avro 1.12, "Schema Declaration"). Types may refer to each other in circles. Logical types that are unknown, or
/// do not fit what they annotate, are ignored, as the specification wants it.
class AvroSchema {
  public:
    /// `referenced`: schemas of named types that this one uses, each before those that use it. Or a sentence's end.
    static std::expected<AvroSchema, std::string> parse(std::string_view text,
                                                        const std::vector<std::string>& referenced = {});

    const AvroType& root() const { return *root_; }

  private:
    friend class AvroSchemaReader;
    std::deque<AvroType> types_;  // addresses stay
    const AvroType* root_ = nullptr;
};

}  // namespace penstock::payload
