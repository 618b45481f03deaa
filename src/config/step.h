#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/spec.h"
#include "config/values.h"

namespace penstock::config {

/// `filter`: rows go on where the condition is true.
struct FilterStep {
    Text name;
    Text where;
};

enum class Mask { sha256, redact, nullify, partial };

/// `mask`: values are replaced by what says less, in place.
struct MaskStep {
    std::vector<Text> columns;
    Mask with = Mask::sha256;
    Secret salt;
    int64_t keep = 4;
};

/// `hash`: a column more, one digest of several.
struct HashStep {
    std::vector<Text> columns;
    Text into;
    Secret salt;
};

/// `lookup`: columns more, from the row of a file that has the same key.
struct LookupStep {
    FilePath file;
    std::map<std::string, Text> on;  ///< column of the rows: column of the file
    std::vector<Text> columns;       ///< of the file
    enum class Missing { keep, filter, reject } missing = Missing::keep;
    std::chrono::microseconds refresh{0};  ///< 0: once a run
};

/// `dedupe`: of rows with the same key only the first goes on.
struct DedupeStep {
    std::vector<Text> key;
    std::chrono::microseconds within{0};  ///< 0: for all of a run
    int64_t keys = 1'000'000;             ///< remembered at once
};

/// `geoip`: a column more, what a MaxMind database knows of an IP address.
struct GeoipStep {
    Text column;
    Text into;
    FilePath database;
    Text value{.value = "country.iso_code"};  ///< a path in the database's records
    enum class Missing { keep, filter } missing = Missing::keep;
};

/// `program`: rows go through a program beside the pipeline, as Arrow streams on its standard input and output.
struct ProgramStep {
    std::vector<std::string> command;
    std::chrono::microseconds timeout = std::chrono::minutes(5);
};

/// One entry of `steps`: what happens to rows between source and target. Exactly one of the steps is given.
struct Step {
    Text sql;
    std::map<std::string, Text> rename;
    std::vector<Text> drop;
    std::map<std::string, Text> cast;
    std::optional<FilterStep> filter;
    std::optional<MaskStep> mask;
    std::optional<HashStep> hash;
    std::optional<LookupStep> lookup;
    std::optional<DedupeStep> dedupe;
    std::optional<GeoipStep> geoip;
    std::optional<ProgramStep> program;
    std::vector<Text> tables;  ///< of which tables; all where none is named

    /// The key that is given: "sql", "mask" …
    std::string_view kind() const;
};

const Spec<Step>& step_spec();

}  // namespace penstock::config
