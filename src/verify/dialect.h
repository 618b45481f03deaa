#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/type.h"
#include "flow/comparison.h"

namespace penstock::verify {

/// The few expressions that verifying asks of each engine, in its own SQL. All engines give the same answers.
class Dialect {
  public:
    virtual ~Dialect() = default;
    virtual std::string literal(std::string_view text) const = 0;
    virtual std::string identifier(std::string_view name) const = 0;
    /// An integer of 60 bits, the first of the text's MD5.
    virtual std::string hash(const std::string& text, bool utf8) const = 0;
    /// Its number of bytes in UTF-8.
    virtual std::string bytes(const std::string& text, bool utf8) const = 0;
    /// Of texts that are never NULL.
    virtual std::string concat(const std::vector<std::string>& texts) const = 0;
    /// The exact sum of integers, as text.
    virtual std::string sum(const std::string& integers) const = 0;
    virtual std::string text(const std::string& integer) const = 0;
    /// What a value that stands in a text ends with.
    virtual std::string separator() const = 0;
    /// The remainder of a division, with the sign of what is divided.
    std::string remainder(const std::string& integer, int64_t by) const;

    /// A value as it stands beside others (flow/comparison.h).
    std::string framed(const data::Type& type, const std::string& text, bool utf8) const;
    /// A row's values, all of them.
    std::string framed(const std::vector<const flow::ComparedColumn*>& columns, bool utf8) const;
};

/// postgres, duckdb or bigquery.
const Dialect& dialect_named(std::string_view name);

/// A framed value as people read it.
std::string shown(const std::string& canonical, const data::Type& type);

}  // namespace penstock::verify
