#include "config/node.h"

#include <doctest/doctest.h>

#include <fstream>
#include <random>

namespace penstock::config {
namespace {

Node loaded(std::string_view text) {
    auto node = load_text(text, "a.yaml");
    REQUIRE_MESSAGE(node, (node ? "" : node.error().text()));
    return *node;
}

std::string refusal(std::string_view text) {
    auto node = load_text(text, "a.yaml");
    REQUIRE_FALSE(node);
    CHECK(node.error().kind == ErrorKind::configuration);
    return node.error().text();
}

TEST_CASE("every value and key knows its place and path") {
    Node root = loaded("version: 1\npipelines:\n  events:\n    key: [a, 'b']\n    empty:\n");
    CHECK(root.place.text() == "a.yaml:1:1");
    const Node& events = *root.find("pipelines")->find("events");
    CHECK(events.place.text() == "a.yaml:4:5");
    CHECK(root.find("pipelines")->entry("events")->place.text() == "a.yaml:3:3");
    const Node& second = events.find("key")->items[1];
    CHECK(second.place.text() == "a.yaml:4:14");
    CHECK(second.path == "pipelines.events.key[1]");
    CHECK(second.text == "b");
    CHECK(second.quoted);
    CHECK_FALSE(events.find("key")->items[0].quoted);
    CHECK(events.find("empty")->is_null());
    CHECK(events.find("absent") == nullptr);
}

TEST_CASE("null is a word only without quotes") {
    Node root = loaded("[~, null, 'null', \"~\", NULL, nul]");
    CHECK(root.items[0].is_null());
    CHECK(root.items[1].is_null());
    CHECK(root.items[2].text == "null");
    CHECK(root.items[3].text == "~");
    CHECK(root.items[4].is_null());
    CHECK(root.items[5].text == "nul");
}

TEST_CASE("an empty file is nothing") {
    CHECK(loaded("").is_null());
    CHECK(loaded("# only a comment\n").is_null());
    CHECK(loaded("---\n").is_null());
}

TEST_CASE("aliases are copies that keep where they are written") {
    Node root = loaded("a: &x {k: v}\nb: *x\n");
    CHECK(root.find("b")->find("k")->text == "v");
    CHECK(root.find("b")->find("k")->path == "b.k");
    CHECK(root.find("b")->find("k")->place.text() == "a.yaml:1:11");
}

TEST_CASE("merge keys: own keys win, then earlier maps") {
    Node root = loaded("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 0}\nd: {'<<': 1}\n");
    CHECK(dump_inline(*root.find("c")) == "{x: 0, y: 1, z: 2}");
    CHECK(root.find("d")->find("<<")->text == "1");
}

TEST_CASE("what is refused says where and what to do") {
    CHECK(refusal("a: 1\nb: 2\na: 3\n") ==
          "error: duplicate key 'a'\n  at: a.yaml:3:1\n  hint: it stands already at a.yaml:1:1; keep one");
    CHECK(refusal("{a: 1}: 2\n") ==
          "error: a key must be text, found a map\n  at: a.yaml:1:1\n  hint: a value that starts with '{' or '[' must "
          "stand in quotes");
    CHECK(refusal("? \n: 2\n") ==
          "error: a key must be text, found nothing\n  at: a.yaml:2:1\n  hint: a value that starts with '{' or '[' "
          "must stand in quotes");
    CHECK(refusal("a: !!binary xyz\n") ==
          "error: the YAML tag 'tag:yaml.org,2002:binary' is not supported\n  at: a.yaml:1:4\n  hint: write the value "
          "without a tag");
    CHECK(refusal("a: 1\n---\nb: 2\n") ==
          "error: the file holds more than one YAML document\n  at: a.yaml:2:1\n  hint: remove the '---' line and what "
          "follows, or split the file");
    CHECK(refusal("a: &x [*x]\n") == "error: this alias refers to the value it stands in\n  at: a.yaml:1:8");
    CHECK(refusal("a:\n  <<: 1\n") == "error: '<<' merges maps, found text\n  at: a.yaml:2:7");
    CHECK(refusal("a: {url: ${X}}\n") ==
          "error: this is not valid YAML: end of map flow not found\n  at: a.yaml:1:11\n  hint: inside { } or [ ] a "
          "reference must stand in quotes: \"${NAME}\"");
    CHECK(refusal("a: {x: 1\n") ==
          "error: this is not valid YAML: end of map flow not found\n  at: a.yaml:2:1\n  hint: look at the "
          "indentation, at unclosed brackets and at quotes on this line and the one above");
    CHECK(refusal("a:\n\tb: 1\n").ends_with("hint: indent with spaces; YAML allows no tabs there"));
    CHECK(refusal("a: b: c\n") ==
          "error: this is not valid YAML: illegal map value\n  at: a.yaml:1:5\n  hint: a text that holds ': ' must "
          "stand in quotes; else look at the indentation");
    CHECK(refusal("a: *x\n").starts_with("error: this is not valid YAML: the referenced anchor is not defined"));
    CHECK(refusal(std::string_view("a\0b", 3)) ==
          "error: the file is not text: it holds a zero byte\n  at: a.yaml\n  hint: save it as UTF-8");
}

TEST_CASE("bounds are refused, not suffered") {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; ++j) bomb += (j ? ", *a" : "*a") + std::to_string(i - 1);
        bomb += "]\n";
    }
    CHECK(refusal(bomb).starts_with("error: the configuration grows past 100000 values or 16 MiB\n  at: a.yaml:5:"));
    CHECK(refusal(std::string(70, '[') + std::string(70, ']')) ==
          "error: values are nested deeper than 64 levels\n  at: a.yaml:1:65");
    CHECK(refusal(std::string(600, '[')).starts_with("error: "));
    CHECK(refusal(std::string((1 << 20) + 1, 'x')) == "error: the file is larger than 1 MiB\n  at: a.yaml");
    CHECK(refusal(std::string(300, 'k') + ": 1") == "error: a key is longer than 256 characters\n  at: a.yaml:1:1");
}

TEST_CASE("a file that cannot be read says why") {
    auto node = load("no/such/file.yaml");
    REQUIRE_FALSE(node);
    CHECK(node.error().text() ==
          "error: cannot read the configuration file 'no/such/file.yaml': No such file or directory\n  hint: write one "
          "with 'penstock init', or name it with -f FILE");
    auto folder = load("/");
    REQUIRE_FALSE(folder);
    CHECK(folder.error().message == "cannot read the configuration file '/': Is a directory");
}

/// Texts that tempt a YAML reader: numbers, words with a meaning, indicators, breaks, quotes, UTF-8.
std::string random_text(std::mt19937& random) {
    static const std::vector<std::string> parts = {"a",   "Z",  "0",   "-",   " ", ":",  ": ",   "#", " #",   "'",
                                                   "\"",  "\n", "\t",  "\\",  "{", "}",  "[",    "]", ",",    "&",
                                                   "*",   "!",  "|",   ">",   "%", "@",  "`",    "~", "null", "true",
                                                   "1.5", "<<", "---", "...", "ö", "🐟", "\x01", "?", "=",    "${X}"};
    std::string text;
    for (size_t n = random() % 6; n > 0; --n) text += parts[random() % parts.size()];
    return text;
}

Node random_node(std::mt19937& random, int depth) {
    switch (depth == 0 ? random() % 2 : random() % 4) {
        case 0: return Node::scalar(random_text(random), random() % 2);
        case 1: return {};
        case 2: {
            std::vector<Node> items;
            for (size_t n = random() % 4; n > 0; --n) items.push_back(random_node(random, depth - 1));
            return Node::sequence(std::move(items));
        }
        default: {
            std::vector<Node::Entry> entries;
            for (size_t n = random() % 4; n > 0; --n)
                entries.push_back({std::to_string(n) + random_text(random), {}, random_node(random, depth - 1)});
            return Node::map(std::move(entries));
        }
    }
}

/// A plain scalar that YAML would not read back as text cannot come from YAML either; it is written in quotes.
TEST_CASE("what is dumped loads as the same node") {
    unsigned seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 3000; ++round) {
        Node node = random_node(random, 4);
        for (const std::string& text : {dump(node), dump_inline(node)}) {
            CAPTURE(text);
            auto again = load_text(text, "dump");
            REQUIRE_MESSAGE(again, (again ? "" : again.error().text()));
            REQUIRE(again->same_as(node));
        }
    }
}

}  // namespace
}  // namespace penstock::config
