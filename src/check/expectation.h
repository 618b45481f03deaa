#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/check.h"

namespace penstock::check {

using config::CheckedRows;
using config::OnFail;
using config::Severity;

/// One thing asked of a table. What stands under `checks` and what a suite of Great Expectations says are both brought into this
/// form, so that there is one way to ask, to judge and to tell.
struct Expectation {
    std::string type;     ///< expect_column_values_to_be_unique …
    config::Node kwargs;  ///< a map, without `mostly`
    config::Place place;
    std::string name;  ///< "" where its author gave none
    double mostly = 1;
    OnFail on_fail = OnFail::stop;
    Severity severity = Severity::critical;
    CheckedRows rows = CheckedRows::batch;
    std::vector<config::Text> tables = {};  ///< of the source; all where none is named

    /// "a", "a, b", or "" of one about the whole table.
    std::string columns() const;
    /// As messages call it: its name, else "not_null of email".
    std::string title() const;
};

/// What `checks` of a pipeline ask, suites included. Mistakes are configuration errors with their place.
Result<std::vector<Expectation>> read_checks(const std::vector<config::Located<config::Check>>& checks);

/// A suite of Great Expectations 1.x. What `manner` says holds for all of it where the suite says nothing.
Result<std::vector<Expectation>> read_suite(const std::filesystem::path& file, const config::Place& named_at,
                                            const config::CheckManner& manner);

/// How a kind of expectation is asked.
enum class Family {
    rows,     ///< of each row
    measure,  ///< of a figure over a column
    table,    ///< of the table's rows or columns
    query,    ///< of a query's rows
};

struct KnownExpectation {
    std::string_view type;
    Family family;
    std::string_view required;  ///< names of arguments, a blank between them
    std::string_view optional;
    std::string_view short_name;  ///< as `checks` calls it
};

/// Null where there is none.
const KnownExpectation* known_expectation(std::string_view type);
/// Refuses a type or arguments that are not known, by the place and the nearest name.
Status check_arguments(const Expectation& expectation);

/// What a run ends with whose checks said no.
Error checks_failed(const std::string& table, const std::vector<std::string>& failed, const std::string& place,
                    std::string_view published);

Error mistake(const config::Place& place, std::string code, std::string message, std::string hint);

}  // namespace penstock::check
