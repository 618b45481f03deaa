#pragma once

#include <optional>
#include <string>
#include <vector>

#include "check/dialect.h"
#include "check/expectation.h"
#include "data/type.h"

namespace penstock::check {

/// The arguments of one expectation, read for a table with these columns. What does not fit is a configuration error.
class Arguments {
  public:
    Arguments(const Expectation& expectation, const data::Schema& schema, const Dialect& dialect)
        : expectation_(expectation), schema_(schema), dialect_(dialect) {}

    const Expectation& expectation() const { return expectation_; }
    const Dialect& dialect() const { return dialect_; }
    const data::Schema& schema() const { return schema_; }

    bool has(const char* name) const { return find(name) != nullptr; }
    const config::Node* find(const char* name) const;
    std::string text(const char* name) const;
    bool flag(const char* name) const;
    Result<double> number(const char* name) const;
    Result<int64_t> integer(const char* name) const;
    Result<std::vector<config::Node>> list(const char* name) const;
    Result<std::vector<std::string>> texts(const char* name) const;

    /// The column that an argument names.
    Result<const data::Field*> column(const char* name) const;
    Result<std::vector<const data::Field*>> columns(const char* name) const;
    Result<const data::Field*> column_named(const config::Node& node) const;
    /// The column quoted.
    Result<std::string> quoted(const char* name) const;

    /// A value of the expectation as SQL, to be compared with a column of the type.
    Result<std::string> value(const config::Node& node, const data::Type& type) const;
    /// "1, 2, 3"
    Result<std::string> values(const char* name, const data::Type& type) const;

    /// What value() has made so far of texts that are to be of another type: only the engine knows whether they are.
    const std::vector<std::string>& literals() const { return literals_; }

    Error wrong(const config::Node& node, std::string_view wanted) const;

  private:
    const Expectation& expectation_;
    const data::Schema& schema_;
    const Dialect& dialect_;
    mutable std::vector<std::string> literals_;
};

}  // namespace penstock::check
