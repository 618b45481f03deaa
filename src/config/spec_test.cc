#include "config/spec.h"

#include <doctest/doctest.h>

#include "config/reference.h"
#include "config/sample_catalog.h"

namespace penstock::config {
namespace {

enum class Mode { append, merge, history };
enum class Odd { yes, no, none };

struct Inner {
    std::string name = "unnamed";
    int64_t count = 2;
};

struct Outer : Inner {
    Mode mode = Mode::append;
    std::optional<Mode> maybe_mode;
    std::vector<Mode> modes;
    Odd odd = Odd::yes;
    std::string text;
    Secret secret;
    bool flag = true;
    int64_t integer = 7;
    double number = 0.5;
    Bytes size{1536};
    std::chrono::microseconds lag = std::chrono::minutes(5);
    FilePath file;
    Text located;
    std::optional<int64_t> maybe;
    std::vector<std::string> list;
    std::map<std::string, int64_t> map;
    Inner inner;
    std::optional<Inner> maybe_inner;
    std::vector<Inner> inners;
    std::map<std::string, Inner> named;
    Node raw;
};

const Spec<Inner>& inner_spec() {
    static const auto made = Spec<Inner>("inner", "Inside.")
                                 .field("name", &Inner::name, "A name.")
                                 .field("count", &Inner::count, "A count.", {.least = 1, .most = 9});
    return made;
}

const Spec<Outer>& outer_spec() {
    using O = Outer;
    static const std::vector<EnumChoice<Mode>> modes = {
        {"append", Mode::append}, {"merge", Mode::merge}, {"history", Mode::history}};
    static const auto made = Spec<O>("outer", "Outside.")
                                 .include(inner_spec())
                                 .choice("mode", &O::mode, modes, "A mode.")
                                 .choice("maybe_mode", &O::maybe_mode, modes, "Perhaps a mode.")
                                 .choice("modes", &O::modes, modes, "Modes.")
                                 .choice("odd", &O::odd, {{"true", Odd::yes}, {"false", Odd::no}, {"null", Odd::none}},
                                         "Words that YAML has types for.")
                                 .field("text", &O::text, "Text.")
                                 .field("secret", &O::secret, "A secret.")
                                 .field("flag", &O::flag, "A flag.")
                                 .field("integer", &O::integer, "An integer.")
                                 .field("number", &O::number, "A number.", {.least = 0, .most = 1})
                                 .field("size", &O::size, "A size.")
                                 .field("lag", &O::lag, "A duration.")
                                 .field("file", &O::file, "A file.")
                                 .field("located", &O::located, "Text with its place.")
                                 .field("maybe", &O::maybe, "Perhaps an integer.")
                                 .field("list", &O::list, "A list.")
                                 .field("map", &O::map, "A map.")
                                 .field("inner", &O::inner, inner_spec(), "A struct.")
                                 .field("maybe_inner", &O::maybe_inner, inner_spec(), "Perhaps a struct.")
                                 .field("inners", &O::inners, inner_spec(), "Structs.")
                                 .field("named", &O::named, inner_spec(), "Structs by name.")
                                 .field("raw", &O::raw, "Anything.")
                                 .unavailable("later", "it is planned");
    return made;
}

Node loaded(const std::string& text) {
    auto node = load_text(text, "dir/a.yaml");
    REQUIRE_MESSAGE(node, (node ? "" : node.error().text()));
    Diagnostics diagnostics;
    resolve_references(*node, sample_surroundings(), diagnostics);
    REQUIRE(diagnostics.empty());
    return *node;
}

TEST_CASE("absent options keep the initial values of the struct") {
    auto outer = outer_spec().parse(loaded("{}"));
    REQUIRE(outer);
    CHECK(outer->name == "unnamed");
    CHECK(outer->integer == 7);
    CHECK_FALSE(outer->maybe);
    CHECK(outer_spec().parse(loaded("inner:\n")));
    CHECK_FALSE(outer->maybe_inner);
    CHECK(outer->raw.is_null());
}

TEST_CASE("every member type is read") {
    auto outer = outer_spec().parse(loaded(R"(
name: n
mode: merge
maybe_mode: history
modes: [append, merge]
odd: null
text: 2024
secret: s3cret-word
flag: false
integer: -12
number: 0.25
size: 512MiB
lag: 250ms
file: certs/ca.pem
located: updated_at
maybe: "${UNSET:-3}"
list: one
map: {a: 1, b: 2}
inner: {count: 5}
maybe_inner: {name: m}
inners: {name: single}
named: {x: {name: y}}
raw: [1, {a: b}]
)"));
    REQUIRE_MESSAGE(outer, (outer ? "" : outer.error().text()));
    CHECK(outer->name == "n");
    CHECK(outer->mode == Mode::merge);
    CHECK(outer->maybe_mode == Mode::history);
    CHECK(outer->modes == std::vector{Mode::append, Mode::merge});
    CHECK(outer->odd == Odd::none);
    CHECK(outer->text == "2024");
    CHECK(outer->secret.reveal() == "s3cret-word");
    CHECK_FALSE(outer->flag);
    CHECK(outer->integer == -12);
    CHECK(outer->number == 0.25);
    CHECK(outer->size.count == 512u << 20);
    CHECK(outer->lag == std::chrono::milliseconds(250));
    CHECK(outer->file.value == "dir/certs/ca.pem");
    CHECK(outer->located.value == "updated_at");
    CHECK(outer->located.place.text() == "dir/a.yaml:15:10");
    CHECK(outer->maybe == 3);
    CHECK(outer->list == std::vector<std::string>{"one"});
    CHECK(outer->map == std::map<std::string, int64_t>{{"a", 1}, {"b", 2}});
    CHECK(outer->inner.count == 5);
    CHECK(outer->inner.name == "unnamed");
    CHECK(outer->maybe_inner->name == "m");
    CHECK(outer->inners.at(0).name == "single");
    CHECK(outer->named.at("x").name == "y");
    CHECK(outer->raw.items.size() == 2);
}

TEST_CASE("mistakes are told exactly") {
    struct Case {
        std::string yaml, error;
    };
    for (const Case& one : std::vector<Case>{
             {"mode: mergee",
              "error: mode: 'mergee' is not a mode; did you mean 'merge'? (append, merge, history)\n  at: "
              "dir/a.yaml:1:7"},
             {"mode: zzzzz", "error: mode: 'zzzzz' is not a mode (append, merge, history)\n  at: dir/a.yaml:1:7"},
             {"mode: [merge]", "error: mode: expected a mode, found a list\n  at: dir/a.yaml:1:7"},
             {"mode: \"${TOKEN}\"",
              "error: mode: '${TOKEN}' is not a mode (append, merge, history)\n  at: dir/a.yaml:1:7"},
             {"maybe_mode: x",
              "error: maybe_mode: 'x' is not a choice (append, merge, history)\n  at: dir/a.yaml:1:13"},
             {"modes: [append, x]",
              "error: modes[1]: 'x' is not a choice (append, merge, history)\n  at: dir/a.yaml:1:17"},
             {"mode:",
              "error: mode: expected a mode, found nothing\n  at: dir/a.yaml:1:1\n  hint: give a value, or remove the "
              "line to have the default"},
             {"text: [a]", "error: text: expected text, found a list\n  at: dir/a.yaml:1:7"},
             {"text:",
              "error: text: expected text, found nothing\n  at: dir/a.yaml:1:1\n  hint: give a value, or remove the "
              "line to have the default"},
             {"secret: {a: b}", "error: secret: expected text, found a map\n  at: dir/a.yaml:1:9"},
             {"flag: yes", "error: flag: 'yes' is neither true nor false\n  at: dir/a.yaml:1:7"},
             {"flag: 'true'",
              "error: flag: expected true or false, found text in quotes\n  at: dir/a.yaml:1:7\n  hint: remove the "
              "quotes"},
             {"integer: 1.5", "error: integer: '1.5' is not an integer\n  at: dir/a.yaml:1:10"},
             {"integer: 99999999999999999999",
              "error: integer: '99999999999999999999' is not an integer\n  at: dir/a.yaml:1:10"},
             {"integer: '3'",
              "error: integer: expected an integer, found text in quotes\n  at: dir/a.yaml:1:10\n  hint: remove the "
              "quotes"},
             {"integer: \"${TOKEN}\"", "error: integer: '${TOKEN}' is not an integer\n  at: dir/a.yaml:1:10"},
             {"number: 2", "error: number: '2' is too large; the most is 1\n  at: dir/a.yaml:1:9"},
             {"number: -1", "error: number: '-1' is too small; the least is 0\n  at: dir/a.yaml:1:9"},
             {"number: nan", "error: number: 'nan' is not a number\n  at: dir/a.yaml:1:9"},
             {"size: 5 apples",
              "error: size: '5 apples' is not a size\n  at: dir/a.yaml:1:7\n  hint: write a number with a unit, such "
              "as 512MiB or 10GB"},
             {"size: \"${TOKEN}\"",
              "error: size: '${TOKEN}' is not a size\n  at: dir/a.yaml:1:7\n  hint: write a number with a unit, such "
              "as 512MiB or 10GB"},
             {"lag: soon",
              "error: lag: 'soon' is not a duration\n  at: dir/a.yaml:1:6\n  hint: write a number with a unit, such as "
              "250ms, 5s, 5m, 1h or 2d"},
             {"file: ''", "error: file: the path is empty\n  at: dir/a.yaml:1:7"},
             {"maybe: x", "error: maybe: 'x' is not an integer\n  at: dir/a.yaml:1:8"},
             {"list: [a, [b]]", "error: list[1]: expected text, found a list\n  at: dir/a.yaml:1:11"},
             {"map: [a]", "error: map: expected a map, found a list\n  at: dir/a.yaml:1:6"},
             {"map: {a: b}", "error: map.a: 'b' is not an integer\n  at: dir/a.yaml:1:10"},
             {"inner: 5", "error: inner: expected a map, found text\n  at: dir/a.yaml:1:8"},
             {"inner: {count: 10}", "error: inner.count: '10' is too large; the most is 9\n  at: dir/a.yaml:1:16"},
             {"inner: {nmae: x}", "error: inner: unknown key 'nmae'; did you mean 'name'?\n  at: dir/a.yaml:1:9"},
             {"inner: {zzzz: x}",
              "error: inner: unknown key 'zzzz'\n  at: dir/a.yaml:1:9\n  hint: known keys: name, count"},
             {"inners: [{}, {count: 0}]",
              "error: inners[1].count: '0' is too small; the least is 1\n  at: dir/a.yaml:1:22"},
             {"named: {x: {count: 0}}",
              "error: named.x.count: '0' is too small; the least is 1\n  at: dir/a.yaml:1:20"},
             {"later: 1",
              "error: 'later' is not available in this version\n  at: dir/a.yaml:1:1\n  hint: it is planned"},
             {"[1]", "error: expected a map, found a list\n  at: dir/a.yaml:1:1"}}) {
        CAPTURE(one.yaml);
        auto outer = outer_spec().parse(loaded(one.yaml));
        REQUIRE_FALSE(outer);
        CHECK(outer.error().kind == ErrorKind::configuration);
        CHECK(outer.error().text() == one.error);
    }
}

TEST_CASE("all mistakes are told together, in the order of the file") {
    auto outer = outer_spec().parse(loaded("inner: {count: x}\nmodee: merge\nflag: maybe\n"));
    REQUIRE_FALSE(outer);
    CHECK(outer.error().text() ==
          "error: the configuration has 3 problems:\n"
          "  dir/a.yaml:1:16: inner.count: 'x' is not an integer\n"
          "  dir/a.yaml:2:1: unknown key 'modee'; did you mean 'mode'?\n"
          "  dir/a.yaml:3:7: flag: 'maybe' is neither true nor false\n"
          "  at: dir/a.yaml:1:16");
}

TEST_CASE("a flood of mistakes is counted, and the first twenty kept") {
    std::string yaml = "map: {";
    for (int i = 0; i < 30; ++i) yaml += "k" + std::to_string(i) + ": x, ";
    auto outer = outer_spec().parse(loaded(yaml + "}"));
    REQUIRE_FALSE(outer);
    CHECK(outer.error().message.starts_with("the configuration has 30 problems:\n"));
    CHECK(outer.error().message.ends_with("\n  and 10 more"));
}

TEST_CASE("rules over keys") {
    struct Rules {
        std::string a, b, c, d;
    };
    static const auto spec = Spec<Rules>("rules", "")
                                 .field("a", &Rules::a, "")
                                 .field("b", &Rules::b, "")
                                 .field("c", &Rules::c, "")
                                 .required("d", &Rules::d, "The fourth.")
                                 .one_of({"a", "b"})
                                 .requires_other("c", "b");
    auto error = [](const std::string& yaml) {
        auto parsed = spec.parse(loaded(yaml));
        return parsed ? "" : parsed.error().text();
    };
    CHECK(error("{a: 1, d: 1}") == "");
    CHECK(error("{b: 1, c: 1, d: 1}") == "");
    CHECK(error("{d: 1}") == "error: give one of 'a', 'b'\n  at: dir/a.yaml:1:1");
    CHECK(error("{a: 1, b: 2, d: 1}") ==
          "error: 'a' and 'b' exclude each other; give one of 'a', 'b'\n  at: dir/a.yaml:1:8");
    CHECK(error("{a: 1, c: 2, d: 1}") == "error: 'c' needs 'b' too\n  at: dir/a.yaml:1:8");
    CHECK(error("{a: 1}") == "error: the key 'd' is missing\n  at: dir/a.yaml:1:1\n  hint: The fourth.");
}

TEST_CASE("a condition over the struct is asked last and is placed") {
    const SpecBase& spec = *sample_catalog()[0].source;
    Diagnostics diagnostics;
    spec.validate(loaded("connection: c\ntable: t\nstrict: true\ncursor: x\n"), diagnostics);
    REQUIRE(diagnostics.size() == 1);
    CHECK(diagnostics.error().text() ==
          "error: a strict source has no cursor\n  at: dir/a.yaml:4:9\n  hint: remove one");
}

TEST_CASE("secrets are redacted from then on, and never written") {
    auto outer = outer_spec().parse(loaded("secret: \"x-${TOKEN}\""));
    REQUIRE(outer);
    CHECK(redact("denied for hunter2-token") == "denied for ***");
    CHECK(dump_inline(*outer_spec().write(*outer).find("secret")) == "\"***\"");
    auto url = outer_spec().parse(
        loaded("secret: postgres://me:p4ssw0rd-one@db.example.org/shop?sslpassword=p4ssw0rd-two&x=y"));
    REQUIRE(url);
    CHECK(redact("p4ssw0rd-one p4ssw0rd-two db.example.org") == "*** *** db.example.org");
}

TEST_CASE("what was written reads back as the same struct") {
    Outer outer;
    outer.text = "with: colon";
    outer.modes = {Mode::merge, Mode::history};
    outer.size = {3u << 30};
    outer.lag = std::chrono::microseconds(1'500'000);
    outer.map = {{"a b", 1}};
    outer.inners = {{"one", 1}, {"two", 2}};
    Node written = outer_spec().write(outer);
    auto again = outer_spec().parse(loaded(dump(written)));
    REQUIRE_MESSAGE(again, (again ? "" : again.error().text()));
    CHECK(outer_spec().write(*again).same_as(written));
    CHECK(written.find("size")->text == "3GiB");
    CHECK(written.find("lag")->text == "1500ms");
}

TEST_CASE("options describe themselves") {
    const Option& mode = *outer_spec().find("mode");
    CHECK(mode.default_text == "append");
    CHECK(mode.shape.choices.size() == 3);
    CHECK(outer_spec().find("lag")->default_text == "5m");
    CHECK(outer_spec().find("size")->default_text == "1536");
    CHECK(outer_spec().find("inner")->default_text == "{name: unnamed, count: 2}");
    CHECK(outer_spec().find("modes")->shape.noun == "list of choice");
    CHECK(outer_spec().find("secret")->shape.secret);
    CHECK(outer_spec().find("nothing") == nullptr);
}

}  // namespace
}  // namespace penstock::config
