#include "config/reference.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/sample_catalog.h"

namespace penstock::config {
namespace {

/// The scalar `text` with its references resolved, or the error.
std::pair<Node, Diagnostics> resolved(const std::string& text, const std::string& file = "a.yaml") {
    auto node = load_text("k: " + dump_inline(Node::scalar(text, true)), file);
    REQUIRE(node);
    Diagnostics diagnostics;
    resolve_references(*node, sample_surroundings(), diagnostics);
    return {*node->find("k"), diagnostics};
}

TEST_CASE("references are replaced") {
    struct Case {
        std::string written, value;
    };
    for (const Case& one : std::vector<Case>{{"${NAME}", "value"},
                                             {"a${NAME}b${NAME}", "avaluebvalue"},
                                             {"${EMPTY}", ""},
                                             {"${NAME:-x}", "value"},
                                             {"${EMPTY:-x}", "x"},
                                             {"${UNSET:-x y:z}", "x y:z"},
                                             {"${UNSET:-}", ""},
                                             {"${file:secrets/token}", "from-a-file"},
                                             {"$${NAME}", "${NAME}"},
                                             {"$$${NAME}", "$${NAME}"},
                                             {"a$${b}${NAME}", "a${b}value"},
                                             {"{table}/$x {yyyy}$", "{table}/$x {yyyy}$"}}) {
        CAPTURE(one.written);
        auto [node, diagnostics] = resolved(one.written);
        CHECK(diagnostics.empty());
        CHECK(node.text == one.value);
    }
}

TEST_CASE("what cannot be resolved is reported with place and remedy") {
    struct Case {
        std::string written, error;
    };
    for (const Case& one : std::vector<Case>{
             {"${UNSET}",
              "error: k: the environment variable 'UNSET' is not set\n  at: a.yaml:1:4\n  hint: set it (export "
              "UNSET=…), or give a default: ${UNSET:-…}"},
             {"${gcp-secret:db}",
              "error: k: references of the form '${gcp-secret:…}' are not available in this version\n  at: "
              "a.yaml:1:4\n  hint: hand the value over as an environment variable ${NAME} or a file ${file:/path}"},
             {"${vault:a/b#c}",
              "error: k: references of the form '${vault:…}' are not available in this version\n  at: a.yaml:1:4\n  "
              "hint: hand the value over as an environment variable ${NAME} or a file ${file:/path}"},
             {"${file:nowhere}",
              "error: k: cannot read the file of '${file:nowhere}': No such file or directory\n  at: a.yaml:1:4\n  "
              "hint: relative paths are relative to the configuration file"},
             {"${file:}", "error: k: '${file:}' names no file\n  at: a.yaml:1:4\n  hint: write ${file:/path}"},
             {"${NAME",
              "error: k: a reference '${' is not closed by '}'\n  at: a.yaml:1:4\n  hint: write '$${' for the two "
              "characters themselves"},
             {"${A:-${B}}",
              "error: k: references cannot be nested\n  at: a.yaml:1:4\n  hint: write '$${' for the two characters "
              "themselves"},
             {"${}",
              "error: k: '${}' is not a reference\n  at: a.yaml:1:4\n  hint: write ${NAME}, ${NAME:-default} or "
              "${file:/path}; '$${' stands for the two characters themselves"},
             {"${1A}",
              "error: k: '${1A}' is not a reference\n  at: a.yaml:1:4\n  hint: write ${NAME}, ${NAME:-default} or "
              "${file:/path}; '$${' stands for the two characters themselves"}}) {
        CAPTURE(one.written);
        auto [node, diagnostics] = resolved(one.written);
        REQUIRE(diagnostics.size() == 1);
        CHECK(diagnostics.error().text() == one.error);
        CHECK(node.unresolved);
    }
}

TEST_CASE("every unset variable of a file is reported") {
    auto node = load_text("a: ${ONE}\nb: [x, '${TWO}']\n", "a.yaml");
    REQUIRE(node);
    Diagnostics diagnostics;
    resolve_references(*node, sample_surroundings(), diagnostics);
    CHECK(diagnostics.size() == 2);
}

TEST_CASE("a resolved scalar is shown as it was written") {
    auto [node, diagnostics] = resolved("${TOKEN}");
    CHECK(node.text == "hunter2-token");
    CHECK(node.shown() == "'${TOKEN}'");
    CHECK(node.resolved == std::vector<std::string>{"hunter2-token"});
    CHECK(dump_inline(node) == "\"${TOKEN}\"");
}

TEST_CASE("files are looked up beside the configuration file") {
    auto [absent, diagnostics] = resolved("${file:token}", "secrets/a.yaml");
    CHECK(diagnostics.empty());
    CHECK(absent.text == "from-a-file");
}

TEST_CASE("the process's own environment and files") {
    auto folder = std::filesystem::temp_directory_path() / ("penstock_reference_test_" + std::to_string(std::rand()));
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "token") << "abc\r\n";
    setenv("PENSTOCK_REFERENCE_TEST", "from the environment", 1);
    auto node =
        load_text("[\"${PENSTOCK_REFERENCE_TEST}\", \"${file:token}\", \"${file:.}\"]", (folder / "a.yaml").string());
    REQUIRE(node);
    Diagnostics diagnostics;
    resolve_references(*node, Surroundings::of_process(), diagnostics);
    CHECK(node->items[0].text == "from the environment");
    CHECK(node->items[1].text == "abc");
    REQUIRE(diagnostics.size() == 1);
    CHECK(diagnostics.errors().front().message == "[2]: cannot read the file of '${file:.}': it is a directory");
    unsetenv("PENSTOCK_REFERENCE_TEST");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace penstock::config
