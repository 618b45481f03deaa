#include "app/work/dbt_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

namespace penstock::app {
namespace {

using Parsed = nlohmann::json;

std::string text_in(const Parsed& json, const char* name) {
    auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

template <class Number>
Number number_in(const Parsed& json, const char* name) {
    auto found = json.find(name);
    return found != json.end() && found->is_number() ? found->get<Number>() : Number(0);
}

/// Nothing where there is no file; what is no JSON is discarded. `wanted` says of a key at its depth whether to keep it.
Parsed read(const std::filesystem::path& path, const std::function<bool(int depth, const std::string& key)>& wanted) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return nullptr;
    auto keep = [&](int depth, Parsed::parse_event_t event, Parsed& parsed) {
        return event != Parsed::parse_event_t::key || wanted(depth, parsed.get_ref<const std::string&>());
    };
    return Parsed::parse(stream, keep, false);
}

Error unreadable(const std::filesystem::path& path) {
    return {.kind = ErrorKind::refused,
            .code = "dbt_results_unreadable",
            .message = fmt::format("what dbt says of its run is not the JSON that is expected: {}", path.string()),
            .hint = "see which version of dbt this is: run_results.json of dbt 1.0 to 1.11 is read"};
}

DbtNode node_of(const Parsed& result) {
    DbtNode node{.id = text_in(result, "unique_id"),
                 .status = text_in(result, "status"),
                 .message = text_in(result, "message"),
                 .relation = text_in(result, "relation_name"),
                 .failures = number_in<int64_t>(result, "failures"),
                 .seconds = number_in<double>(result, "execution_time")};
    node.kind = node.id.substr(0, node.id.find('.'));
    std::erase_if(node.relation, [](char c) { return c == '"' || c == '`'; });
    if (auto answer = result.find("adapter_response"); answer != result.end() && answer->is_object())
        node.rows = std::max<int64_t>(number_in<int64_t>(*answer, "rows_affected"), 0);
    return node;
}

/// The manifest of a large project is large, and five things are wanted of it.
void add_manifest(const std::filesystem::path& folder, std::vector<DbtNode>& nodes) {
    static const std::set<std::string, std::less<>> fields = {"original_file_path", "attached_node", "column_name",
                                                              "name", "test_metadata"};
    auto manifest = read(folder / "manifest.json", [](int depth, const std::string& key) {
        return depth == 1 ? key == "nodes" : depth != 3 || fields.contains(key);
    });
    auto all = manifest.is_object() ? manifest.find("nodes") : manifest.end();
    if (all == manifest.end() || !all->is_object()) return;
    for (auto& node : nodes) {
        auto found = all->find(node.id);
        if (found == all->end() || !found->is_object()) continue;
        node.file = text_in(*found, "original_file_path");
        node.of = text_in(*found, "attached_node");
        node.column = text_in(*found, "column_name");
        node.name = text_in(*found, "name");
    }
}

}  // namespace

Result<std::optional<std::vector<DbtNode>>> read_dbt_results(const std::filesystem::path& folder,
                                                             const std::string& invocation) {
    auto path = folder / "run_results.json";
    auto json = read(path, [](int, const std::string& key) { return key != "compiled_code" && key != "timing"; });
    if (json.is_null()) return std::nullopt;
    if (!json.is_object() || !json.contains("metadata") || !json.contains("results") || !json["results"].is_array())
        return fail(unreadable(path));
    auto environment =
        json["metadata"].is_object() ? json["metadata"].value("env", Parsed::object()) : Parsed::object();
    if (!environment.is_object() || text_in(environment, "PENSTOCK_TRY") != invocation) return std::nullopt;
    std::vector<DbtNode> nodes;
    for (const auto& result : json["results"])
        if (result.is_object()) nodes.push_back(node_of(result));
    add_manifest(folder, nodes);
    return nodes;
}

}  // namespace penstock::app
