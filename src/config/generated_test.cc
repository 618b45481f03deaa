// What is generated from the specs: JSON Schema, component listing, reference pages, scaffolding.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "config/document.h"
#include "config/json_schema.h"
#include "config/markdown.h"
#include "config/sample_catalog.h"
#include "config/scaffold.h"

namespace penstock::config {
namespace {

using Json = nlohmann::json;

TEST_CASE("the schema names every option, its default and its bounds") {
    Json schema = Json::parse(json_schema(sample_catalog()));
    CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
    CHECK(schema["additionalProperties"] == false);
    CHECK(schema["properties"]["version"]["default"] == 1);
    const Json& pipeline = schema["properties"]["pipelines"]["additionalProperties"];
    CHECK_FALSE(pipeline.contains("required"));
    CHECK(pipeline["dependentRequired"]["source"] == Json::array({"target"}));
    CHECK(pipeline["properties"]["retries"]["properties"]["max"]["anyOf"][0] ==
          Json{{"type", "integer"}, {"minimum", 0.0}, {"maximum", 100.0}});
    CHECK(pipeline["dependentRequired"]["timezone"] == Json::array({"schedule"}));
    const Json& source = pipeline["properties"]["source"]["anyOf"][0];
    CHECK(source["title"] == "sea");
    CHECK(source["properties"]["cursor_lag"]["default"] == "0s");
    CHECK(source["properties"]["tables"]["anyOf"][0]["type"] == "array");
    CHECK(source["allOf"][0]["oneOf"] == Json::array({{{"required", {"table"}}}, {{"required", {"tables"}}}}));
    const Json& target = pipeline["properties"]["target"]["anyOf"][0];
    CHECK(target["properties"]["mode"]["anyOf"][2]["const"] == "merge");
    CHECK(target["allOf"][0]["oneOf"].size() == 3);
    CHECK(schema["properties"]["connections"]["additionalProperties"]["anyOf"][1]["properties"]["type"]["const"] ==
          "land");
}

TEST_CASE("words that YAML has types for are accepted typed") {
    Json schema = Json::parse(json_schema(sample_catalog()));
    auto constants = [&](const std::string& option) {
        Json all = Json::array();
        for (const auto& one : schema["properties"]["pipelines"]["additionalProperties"]["properties"][option]["anyOf"])
            if (one.contains("const")) all.push_back(one["const"]);
        return all;
    };
    CHECK(constants("special_numbers") == Json::array({"reject", "null", nullptr, "text"}));
    CHECK(constants("catchup") == Json::array({"false", false, "one", "all"}));
}

TEST_CASE("the listing of components") {
    Json all = Json::parse(components_json(sample_catalog()));
    REQUIRE(all.size() == 2);
    CHECK(all[0]["type"] == "sea");
    CHECK(all[0]["target"] == nullptr);
    CHECK(all[1]["source"] == nullptr);
    const Json& options = all[0]["connection"]["options"];
    CHECK(options[1] == Json{{"name", "url"},
                             {"type", "text"},
                             {"required", true},
                             {"doc", "Where the sea is."},
                             {"example", "${SEA_URL}"},
                             {"secret", true}});
    CHECK(options[2]["options"][0]["choices"][1] == Json{{"name", "require"}, {"doc", "Encrypted."}});
}

TEST_CASE("a component's page") {
    CHECK(component_markdown(sample_catalog()[0]) == R"(# sea

A sea to read from.

## Connection

A sea.

| Option | Type | Default | Meaning |
|---|---|---|---|
| `type` | text | required | Which kind of system this is; it decides the other options. |
| `url` | text | required | Where the sea is.<br>Example: `"${SEA_URL}"`<br>Never shown. |
| `tls` | map |  | How the connection is encrypted. |
| `tls.mode` | choice | `require` | How much is asked.<br>`disable`: No encryption.<br>`require`: Encrypted. |
| `tls.ca` | path |  | Certificates that are trusted.<br>Example: `server-ca.pem` |
| `headers` | map of text |  | Sent along. |

## Source

Reads the tables of a sea.

| Option | Type | Default | Meaning |
|---|---|---|---|
| `connection` | text | required | The name of a connection of this file.<br>Example: `shop` |
| `table` | text |  | The table.<br>Example: `public.events` |
| `tables` | list of text |  | Patterns of tables.<br>Example: `["public.*"]` |
| `cursor` | text |  | The column that grows.<br>Example: `updated_at` |
| `cursor_lag` | duration | `0s` | How far to read back. |
| `chunk` | size | `8MiB` | Bytes read at once. |
| `batch_rows` | integer |  | Rows in a batch. |
| `sample` | number | `1` | The share that is read. |
| `strict` | true or false | `false` | Whether \| is allowed. |
| `extra` | anything |  | Anything. |

- Exactly one of `table`, `tables`.
- `cursor_lag` needs `cursor`.
)");
}

TEST_CASE("the page of the file tells settings once") {
    std::string page = configuration_markdown(sample_catalog());
    size_t first = page.find("| `retries.max` |");
    REQUIRE(first != page.npos);
    CHECK(page.find("| `retries.max` |", first + 1) == page.npos);
    CHECK(page.find("| [sea](sea.md) | yes |  | A sea to read from. |") != page.npos);
    CHECK(page.find("| `connections` | map of connections |") != page.npos);
}

std::string scaffold() {
    const Catalog& catalog = sample_catalog();
    return scaffold_document({{"shop", &catalog[0], {{"url", Node::scalar("${NAME}", true)}}}, {"wh", &catalog[1], {}}},
                             {{"events",
                               "shop",
                               {{"table", Node::scalar("public.events")}},
                               "wh",
                               {{"table", Node::scalar("events")}, {"mode", Node::scalar("merge")}},
                               {}},
                              {"clients",
                               "shop",
                               {{"table", Node::scalar("public.customers")}},
                               "wh",
                               {{"table", Node::scalar("customers")}},
                               {{"memory", Node::scalar("1GiB")}}}});
}

TEST_CASE("a scaffolded file loads as it stands") {
    auto made = load_document_text(scaffold(), "penstock.yaml", sample_catalog(), sample_surroundings());
    REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
    CHECK(made->pipeline("clients")->memory.count == 1u << 30);
    CHECK(table_target_spec().parse(made->pipeline("events")->target)->mode == WriteMode::merge);
}

TEST_CASE("each commented option of a scaffold is right when uncommented") {
    std::istringstream text(scaffold());
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    int tried = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
        size_t mark = lines[i].find('#');
        if (mark == std::string::npos || lines[i].find_first_not_of(' ') != mark || mark + 1 >= lines[i].size() ||
            lines[i][mark + 1] == ' ')
            continue;
        std::string all;
        for (size_t j = 0; j < lines.size(); ++j) {
            bool opens_defaults = lines[j] == "#defaults:" && mark == 2;
            all += (j == i || opens_defaults ? std::string(lines[j]).erase(lines[j].find('#'), 1) : lines[j]) + "\n";
        }
        auto made = load_document_text(all, "penstock.yaml", sample_catalog(), sample_surroundings());
        CAPTURE(lines[i]);
        ++tried;
        // What excludes or needs another option, names what the file has not, or has no default to show, says so.
        auto says = [&](const char* what) { return made.error().text().find(what) != std::string::npos; };
        bool told = !made && (made.error().code == "key_rule" || says("there is no pipeline 'customers'") ||
                              says("there is no connection 'slack'"));
        CHECK_MESSAGE((made || told), (made ? "" : made.error().text()));
    }
    CHECK(tried > 40);
}

}  // namespace
}  // namespace penstock::config
