#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::bigquery {

/// A name in backticks. Names that come here hold none.
std::string quote_identifier(std::string_view name);
/// A string literal with GoogleSQL's escapes ("Lexical structure": Escape sequences).
std::string quote_literal(std::string_view text);
/// `a`, `b`; each with `prefix` in front.
std::string quote_list(const std::vector<std::string>& names, std::string_view prefix = {});

struct TableId {
    std::string project;
    std::string dataset;
    std::string table;

    /// Of "dataset.table"; only the first dot separates.
    static TableId parse(const std::string& project, std::string_view dotted);
    std::string quoted() const;
    std::string dotted() const { return dataset + "." + table; }
    /// In the REST API, below its project: "/datasets/d/tables/t", escaped for a URL.
    std::string path() const;
    /// As the Storage APIs name it: "projects/p/datasets/d/tables/t".
    std::string resource() const;
};

/// BigQuery folds case when it compares names of columns.
bool same_name(std::string_view a, std::string_view b);

}  // namespace penstock::bigquery
