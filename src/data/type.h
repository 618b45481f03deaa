#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::data {

/// What a value means, free of any system. Sources map their types to these, targets map these to theirs; both tables
/// stand in the connector's types.cc and an unlisted pair is an error, never a cast.
enum class Kind : uint8_t {
    boolean,
    int16,
    int32,
    int64,
    uint32,
    uint64,
    float32,
    float64,
    decimal,      ///< exact, precision 1 to 38, scale 0 to precision
    text,         ///< valid UTF-8
    json,         ///< JSON text, verbatim
    bytes,
    uuid,
    date,         ///< days since 1970-01-01, proleptic Gregorian
    time,         ///< microseconds since midnight, 24:00:00 included
    timetz,       ///< time with an offset
    timestamp,    ///< microseconds since 1970-01-01 without zone
    timestamptz,  ///< microseconds since 1970-01-01 UTC
    interval,     ///< months, days, microseconds, kept apart
    list,
    structure,
    map,
};

struct Field;

struct Type {
    Kind kind = Kind::text;
    uint8_t precision = 0;        ///< decimal only
    uint8_t scale = 0;            ///< decimal only
    std::vector<Field> children;  ///< list: the element; structure: its fields; map: a structure of key and value

    bool operator==(const Type&) const;
};

/// What the source knows of a column's values, to choose encodings by; zero is unknown.
struct ColumnStatistics {
    int64_t distinct = 0;        ///< distinct values
    int32_t average_bytes = 0;   ///< average width
};

struct Field {
    std::string name;
    Type type;
    bool nullable = true;
    std::string source_type = {};  ///< the source's own name of the type, for people and the schema registry
    std::string note = {};         ///< what the mapping cannot keep, or "" when nothing is lost
    int32_t source_id = 0;         ///< the source's stable column number (attnum), so that renames are recognised
    std::string source_relation = {};  ///< of which table `source_id` is a number; "" unknown
    ColumnStatistics statistics = {};
    /// The value of rows older than the column (its constant DEFAULT when it was added), in the source's text form; none: NULL.
    std::optional<std::string> initial = {};
    /// The source cannot tell what rows older than the column hold: they must be read.
    bool initial_unknown = false;
    std::string description = {};  ///< what its author says of it, for targets that keep such

    bool operator==(const Field& other) const { return name == other.name && type == other.type; }

    /// Both are the same column of the source, whatever their names. What was recorded without relation is taken as of the same.
    bool same_column(const Field& other) const {
        return source_id != 0 && source_id == other.source_id && !of_other_relation(other);
    }
    /// Two columns of one relation, of which only one exists now: the one took the other's name.
    bool replaces(const Field& before) const {
        return source_id != before.source_id && !source_relation.empty() && source_relation == before.source_relation;
    }
    /// The numbers of the two say nothing about each other: the source's table was made anew in between.
    bool of_other_relation(const Field& other) const {
        return !source_relation.empty() && !other.source_relation.empty() && source_relation != other.source_relation;
    }
};

struct Schema {
    std::vector<Field> fields;

    /// Position of the field, or -1.
    int find(std::string_view name) const;
};

Type scalar(Kind kind);
Type decimal(int precision, int scale);
Type list_of(Type element);
Type structure_of(std::vector<Field> fields);
Type map_of(Type key, Type value);

/// bool, int64, decimal(12,2), list<text>, struct<a int32, b list<text>>, map<text, text>
std::string to_string(const Type& type);
std::string_view to_string(Kind kind);

/// The schema as JSON (an array of {name, type, nullable, source_type, source_id, source_relation}) and back, for the schema registry.
std::string to_json(const Schema& schema);
Result<Schema> schema_from_json(std::string_view json);

}  // namespace penstock::data
