#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/type.h"

namespace penstock::check {

/// How a question is put in one SQL or the other. Expressions in, expressions out. The two must give the same answers.
class Dialect {
  public:
    virtual ~Dialect() = default;
    virtual std::string name(std::string_view identifier) const = 0;
    virtual std::string literal(std::string_view text) const = 0;
    virtual std::string text(const std::string& value) const = 0;
    virtual std::string typed(std::string_view text, const data::Type& type) const = 0;
    virtual std::string real(const std::string& value) const = 0;
    virtual std::string count_where(const std::string& condition) const = 0;
    virtual std::string matches(const std::string& value, const std::string& pattern) const = 0;
    virtual std::string like(const std::string& value, std::string_view pattern) const = 0;
    virtual std::string characters(const std::string& value) const = 0;
    virtual std::string is_json(const std::string& value) const = 0;
    /// A value as JSON text.
    virtual std::string json(const std::string& value) const = 0;
    virtual std::string json_of(const std::vector<std::string>& columns) const = 0;
    /// A whole row of a table that goes by this name.
    virtual std::string json_of_row(std::string_view alias) const = 0;
    /// The middle of a column of numbers, a query of one value.
    virtual std::string median(const std::string& value, const std::string& table) const = 0;
    /// Several columns as one value that is the same where all of them are, NULLs included.
    virtual std::string together(const std::vector<std::string>& columns) const = 0;
    /// Seconds between a column's value and now.
    virtual std::string age(const std::string& value, const data::Type& type) const = 0;
    /// The rows of a query with each value as text.
    virtual std::string all_as_text(const std::string& query) const = 0;
    /// What orders rows as they came; "" where nothing does.
    virtual std::string row_order() const = 0;
};

/// "duckdb" or "bigquery"; null for others.
const Dialect* dialect_named(std::string_view name);

bool is_number(const data::Type& type);
bool is_text(const data::Type& type);

}  // namespace penstock::check
