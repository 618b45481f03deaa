#include "connect/duckdb/options.h"

#include "config/spec.h"

namespace penstock::duckdb {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    static const auto made =
        config::Spec<ConnectionOptions>("duckdb connection", "A DuckDB file on this machine.")
            .include(config::connection_spec())
            .required("path", &ConnectionOptions::path, "The file; it and its folder are created by the first run.",
                      {.example = "warehouse.duckdb"});
    return made;
}

const config::Spec<TargetOptions>& target_spec() {
    static const auto made = config::Spec<TargetOptions>("duckdb target", "Tables in a DuckDB file.")
                                 .include(config::table_target_spec())
                                 .at_most_one_of({"table", "dataset"});
    return made;
}

std::string target_name(const TargetOptions& options, const std::string& source_table) {
    auto dot = source_table.find('.');
    std::string schema = dot == source_table.npos ? "main" : source_table.substr(0, dot);
    std::string table = dot == source_table.npos ? source_table : source_table.substr(dot + 1);
    std::string name = options.table.value;
    if (name.empty()) name = options.dataset.empty() ? "{schema}.{table}" : options.dataset.value + ".{table}";
    replace_all(name, "{schema}", schema);
    replace_all(name, "{table}", table);
    return name;
}

}  // namespace penstock::duckdb
