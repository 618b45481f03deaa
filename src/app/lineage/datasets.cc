#include "app/lineage/datasets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/version.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Name = std::pair<std::string, std::string>;

/// Datasets by name, in the order in which they were met: several tables may come from one topic.
class Named {
  public:
    Json& of(const flow::Dataset& dataset) {
        auto [found, fresh] = places_.emplace(Name(dataset.space, dataset.name), list_.size());
        if (fresh) list_.push_back({{"namespace", dataset.space}, {"name", dataset.name}, {"facets", Json::object()}});
        return list_[found->second];
    }
    Json list() && { return std::move(list_); }

  private:
    std::map<Name, size_t> places_;
    std::vector<Json> list_;
};

template <class TypeOf>
Json schema_facet(const data::Schema& schema, TypeOf type_of) {
    Json fields = Json::array();
    for (const auto& field : schema.fields) fields.push_back({{"name", field.name}, {"type", type_of(field)}});
    auto facet = lineage_facet("1-2-0/SchemaDatasetFacet");
    facet["fields"] = std::move(fields);
    return facet;
}

Json source_facet(const std::string& connection, const std::string& space) {
    auto facet = lineage_facet("1-0-1/DatasourceDatasetFacet");
    facet["name"] = connection;
    if (space.find("://") != std::string::npos) facet["uri"] = space;
    return facet;
}

/// A check's outcome. What it asks is JSON on record, and goes out as it is there.
Json assertion_of(const flow::Validation& one) {
    Json assertion = {{"assertion", one.expectation}, {"success", one.success}, {"name", one.check}};
    if (!one.column.empty()) assertion["column"] = one.column;
    assertion["severity"] = one.on_fail == "warn" ? "warn" : "error";
    if (!one.kwargs.empty()) assertion["expected"] = one.kwargs;
    assertion["actual"] = one.observed.empty()
                              ? fmt::format("{} of {} unexpected", one.unexpected_count, one.element_count)
                              : one.observed;
    return assertion;
}

/// Checks of the rows that are read are about the input, those of the whole table about the output.
void add_checks(const flow::TableResult& result, std::vector<Json*>& inputs, Json& output) {
    for (const auto& record : result.validations) {
        const auto& one = record.validation;
        bool of_table = one.rows == "table" || inputs.empty();
        for (Json* dataset : of_table ? std::vector<Json*>{&output} : inputs) {
            auto& facet = (*dataset)[of_table ? "facets" : "inputFacets"]["dataQualityAssertions"];
            if (facet.is_null())
                facet = lineage_facet("1-1-0/DataQualityAssertionsDatasetFacet"), facet["assertions"] = Json::array();
            facet["assertions"].push_back(assertion_of(one));
        }
    }
}

/// Columns are what they were as long as nothing stands in between; one whose shape was decided about may not be.
void add_column_lineage(const RunStory::Table& table, const flow::Dataset& from, Json& output) {
    auto is_decided = [&](const std::string& column) {
        return std::ranges::any_of(table.plan.decisions, [&](const auto& one) {
            return one.column == column && one.change != "column_added" && one.change != "table_created";
        });
    };
    Json fields = Json::object();
    for (const auto& field : table.target.info.schema.fields) {
        if (is_decided(field.name)) continue;
        Json step = {{"type", "DIRECT"}, {"subtype", "IDENTITY"}, {"description", ""}, {"masking", false}};
        Json input = {{"namespace", from.space}, {"name", from.name}, {"field", field.name}};
        input["transformations"] = Json::array({step});
        fields[field.name] = {{"inputFields", Json::array({input})}};
    }
    if (fields.empty()) return;
    auto facet = lineage_facet("1-2-0/ColumnLineageDatasetFacet");
    facet["fields"] = std::move(fields);
    output["facets"]["columnLineage"] = std::move(facet);
}

void add_statistics(const flow::Counts& counts, Json* input, Json& output) {
    auto written = lineage_facet("1-0-2/OutputStatisticsOutputDatasetFacet");
    written["rowCount"] = counts.rows_written;
    if (counts.bytes_written > 0) written["size"] = counts.bytes_written;
    output["outputFacets"]["outputStatistics"] = std::move(written);
    if (input == nullptr) return;
    auto read = lineage_facet("1-0-0/InputStatisticsInputDatasetFacet");
    read["rowCount"] = counts.rows_read;
    if (counts.bytes_read > 0) read["size"] = counts.bytes_read;
    (*input)["inputFacets"]["inputStatistics"] = std::move(read);
}

}  // namespace

std::string lineage_producer() { return fmt::format("pkg:generic/penstock@{}", version); }

Json lineage_facet(const std::string& schema) {
    auto name = schema.substr(schema.find('/') + 1);
    return {{"_producer", lineage_producer()},
            {"_schemaURL", fmt::format("https://openlineage.io/spec/facets/{}.json#/$defs/{}", schema, name)}};
}

Json lineage_datasets(const RunStory& story, const flow::RunResult* result) {
    const auto& pipeline = story.pipeline;
    const auto& config = pipeline.config();
    // Steps and routes make other columns, of which only they know where they come from.
    bool as_read = config.steps.empty() && !config.route;
    Named inputs, outputs;
    for (const auto& table : story.tables) {
        const auto& info = table.target.info;
        auto from = pipeline.datasets_of(info);
        auto to = pipeline.dataset_of(table.target);
        std::vector<Json*> read;
        for (const auto& dataset : from) {
            auto& input = inputs.of(dataset);
            input["facets"]["dataSource"] = source_facet(config.source_connection, dataset.space);
            if (as_read)
                input["facets"]["schema"] = schema_facet(info.schema, [](const data::Field& field) {
                    return field.source_type.empty() ? data::to_string(field.type) : field.source_type;
                });
        }
        for (const auto& dataset : from) read.push_back(&inputs.of(dataset));
        if (!to) continue;
        auto& output = outputs.of(*to);
        output["facets"]["dataSource"] = source_facet(config.target_connection, to->space);
        output["facets"]["schema"] =
            schema_facet(info.schema, [&](const data::Field& field) { return pipeline.target_type(field); });
        if (as_read && from.size() == 1 && !info.changes) add_column_lineage(table, from.front(), output);
        if (const auto* counted = result == nullptr ? nullptr : table.result_in(*result)) {
            add_statistics(counted->counts, as_read && read.size() == 1 ? read.front() : nullptr, output);
            add_checks(*counted, read, output);
        }
    }
    return {{"inputs", std::move(inputs).list()}, {"outputs", std::move(outputs).list()}};
}

}  // namespace penstock::app
