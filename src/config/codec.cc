#include "config/codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/humane.h"
#include "config/parse_whole.h"
#include "config/suggest.h"

namespace penstock::config {
namespace {

/// "a size", "an integer", "text".
std::string with_article(std::string_view noun) {
    if (noun == "text" || noun == "true or false") return std::string(noun);
    bool vowel = std::string_view("aeiou").find(noun.front()) != std::string_view::npos;
    return fmt::format("{} {}", vowel ? "an" : "a", noun);
}

bool refuse_scalar(const Node& node, std::string code, std::string_view noun, std::string hint,
                   const Reading& reading) {
    return reading.refuse(node, std::move(code), fmt::format("{} is not {}", node.shown(), with_article(noun)),
                          std::move(hint));
}

bool within_bounds(const Node& node, double value, const Reading& reading) {
    const About& about = reading.about;
    if (about.least && about.most && *about.least == *about.most && value != *about.least)
        return reading.refuse(node, "out_of_range",
                              fmt::format("{} is not supported; write {}", node.shown(), *about.least));
    if (about.least && value < *about.least)
        return reading.refuse(node, "out_of_range",
                              fmt::format("{} is too small; the least is {}", node.shown(), *about.least));
    if (about.most && value > *about.most)
        return reading.refuse(node, "out_of_range",
                              fmt::format("{} is too large; the most is {}", node.shown(), *about.most));
    return true;
}

/// A password must vanish from whatever libraries say, wherever in the option it stands. For URLs that is the user's password
/// (which `redact` knows by its place too) and query values that are secrets by name; hosts stay readable.
void remember(const Node& node) {
    const std::string& text = node.text;
    size_t scheme = text.find("://");
    bool web = text.starts_with("http://") || text.starts_with("https://");
    if (scheme == text.npos || web) {
        remember_secret(text);
        for (const auto& part : node.resolved) remember_secret(part);
        return;
    }
    size_t begin = scheme + 3;
    size_t end = text.find_first_of("/?", begin);
    size_t at = text.rfind('@', end);
    size_t colon = text.find(':', begin);
    if (at != text.npos && at > begin && colon < at) remember_secret(text.substr(colon + 1, at - colon - 1));
    for (size_t found = text.find("password="); found != text.npos; found = text.find("password=", found + 1)) {
        size_t value = found + 9;
        remember_secret(text.substr(value, text.find('&', value) - value));
    }
}

}  // namespace

bool read_scalar(const Node& node, std::string_view wanted, bool typed, const Reading& reading) {
    if (node.unresolved) return false;
    if (node.is_null())
        return reading.refuse(node, "missing_value", fmt::format("expected {}, found nothing", with_article(wanted)),
                              "give a value, or remove the line to have the default");
    if (!node.is_scalar())
        return reading.refuse(node, "wrong_type",
                              fmt::format("expected {}, found {}", with_article(wanted), describe(node.kind)));
    if (typed && node.quoted && node.reference.empty())
        return reading.refuse(node, "wrong_type",
                              fmt::format("expected {}, found text in quotes", with_article(wanted)),
                              "remove the quotes");
    return true;
}

bool refuse_text(const Node& node, const std::string& noun, Error error, const Reading& reading) {
    if (!node.reference.empty())
        return refuse_scalar(node, std::move(error.code), noun, std::move(error.hint), reading);
    return reading.refuse(node, std::move(error.code), error.message, std::move(error.hint));
}

Codec<std::string> text_codec() {
    return {{.kind = Kind::text},
            [](const Node& node, std::string& into, const Reading& reading) {
                if (!read_scalar(node, "text", false, reading)) return false;
                into = node.text;
                return true;
            },
            [](const std::string& value) { return value.empty() ? Node{} : Node::scalar(value); }};
}

Codec<Secret> secret_codec() {
    return {{.kind = Kind::text, .secret = true},
            [](const Node& node, Secret& into, const Reading& reading) {
                if (!read_scalar(node, "text", false, reading)) return false;
                remember(node);
                into = Secret(node.text);
                return true;
            },
            [](const Secret& value) { return value.empty() ? Node{} : Node::scalar("***"); }};
}

Codec<bool> boolean_codec() {
    return {{.kind = Kind::boolean, .noun = "true or false"},
            [](const Node& node, bool& into, const Reading& reading) {
                if (!read_scalar(node, "true or false", true, reading)) return false;
                if (node.text != "true" && node.text != "false")
                    return reading.refuse(node, "wrong_type",
                                          fmt::format("{} is neither true nor false", node.shown()));
                into = node.text == "true";
                return true;
            },
            [](const bool& value) { return Node::scalar(value ? "true" : "false"); }};
}

Codec<int64_t> integer_codec() {
    return {{.kind = Kind::integer, .noun = "integer"},
            [](const Node& node, int64_t& into, const Reading& reading) {
                if (!read_scalar(node, "integer", true, reading)) return false;
                int64_t value = 0;
                if (!parse_whole(node.text, value)) return refuse_scalar(node, "wrong_type", "integer", "", reading);
                if (!within_bounds(node, static_cast<double>(value), reading)) return false;
                into = value;
                return true;
            },
            [](const int64_t& value) { return Node::scalar(std::to_string(value)); }};
}

Codec<double> number_codec() {
    return {{.kind = Kind::number, .noun = "number"},
            [](const Node& node, double& into, const Reading& reading) {
                if (!read_scalar(node, "number", true, reading)) return false;
                double value = 0;
                if (!parse_whole(node.text, value) || !std::isfinite(value))
                    return refuse_scalar(node, "wrong_type", "number", "", reading);
                if (!within_bounds(node, value, reading)) return false;
                into = value;
                return true;
            },
            [](const double& value) { return Node::scalar(fmt::format("{}", value)); }};
}

Codec<Bytes> size_codec() {
    return {{.kind = Kind::size, .noun = "size"},
            [](const Node& node, Bytes& into, const Reading& reading) {
                if (!read_scalar(node, "size", false, reading)) return false;
                auto bytes = parse_bytes(node.text);
                if (!bytes) return refuse_text(node, "size", std::move(bytes.error()), reading);
                into.count = *bytes;
                return true;
            },
            [](const Bytes& value) {
                for (auto [unit, factor] :
                     {std::pair{"GiB", uint64_t{1} << 30}, {"MiB", uint64_t{1} << 20}, {"KiB", uint64_t{1} << 10}})
                    if (value.count != 0 && value.count % factor == 0)
                        return Node::scalar(fmt::format("{}{}", value.count / factor, unit));
                return Node::scalar(std::to_string(value.count));
            }};
}

Codec<std::chrono::microseconds> duration_codec() {
    return {{.kind = Kind::duration, .noun = "duration"},
            [](const Node& node, std::chrono::microseconds& into, const Reading& reading) {
                if (!read_scalar(node, "duration", false, reading)) return false;
                auto duration = parse_duration(node.text);
                if (!duration) return refuse_text(node, "duration", std::move(duration.error()), reading);
                into = *duration;
                return true;
            },
            [](const std::chrono::microseconds& value) {
                int64_t count = value.count();
                for (auto [unit, factor] : {std::pair{"d", int64_t{86'400'000'000}},
                                            {"h", 3'600'000'000},
                                            {"m", 60'000'000},
                                            {"s", 1'000'000},
                                            {"ms", 1000}})
                    if (count != 0 && count % factor == 0)
                        return Node::scalar(fmt::format("{}{}", count / factor, unit));
                return Node::scalar(count == 0 ? "0s" : fmt::format("{}us", count));
            }};
}

Codec<FilePath> path_codec() {
    return {{.kind = Kind::text, .noun = "path"},
            [](const Node& node, FilePath& into, const Reading& reading) {
                if (!read_scalar(node, "path", false, reading)) return false;
                if (node.text.empty()) return reading.refuse(node, "missing_value", "the path is empty");
                into = {relative_to_file(node.place, node.text), node.place};
                return true;
            },
            [](const FilePath& value) { return value.empty() ? Node{} : Node::scalar(value.value.string()); }};
}

Codec<Node> any_codec() {
    return {{.kind = Kind::any, .noun = "anything"},
            [](const Node& node, Node& into, const Reading&) {
                into = node;
                return true;
            },
            [](const Node& value) { return value; }};
}

Shape list_shape(const Shape& element) {
    return {.kind = Kind::list,
            .noun = fmt::format("list of {}", element.noun),
            .secret = element.secret,
            .element = std::make_shared<const Shape>(element)};
}

Shape map_shape(const Shape& element) {
    return {.kind = Kind::map,
            .noun = fmt::format("map of {}", element.noun),
            .secret = element.secret,
            .element = std::make_shared<const Shape>(element)};
}

int read_choice(const Node& node, const std::vector<Choice>& choices, const std::string& noun, const Reading& reading) {
    std::vector<std::string> names;
    for (const auto& choice : choices) names.push_back(choice.name);
    // A bare word that reads as a noun is used as one: "is not a mode"; `special_dates` is not.
    bool is_noun = noun.find('_') == noun.npos && !noun.ends_with('s');
    std::string called = is_noun ? noun : "choice";
    // YAML reads the bare word null as "nothing".
    std::string_view given = node.is_null() ? std::string_view("null") : std::string_view(node.text);
    bool null_is_meant = node.is_null() && std::find(names.begin(), names.end(), given) != names.end();
    if (!null_is_meant && !read_scalar(node, called, false, reading)) return -1;
    for (size_t i = 0; i < names.size(); ++i)
        if (names[i] == given) return static_cast<int>(i);
    std::string suggestion = node.reference.empty() ? did_you_mean(node.text, names) : "";
    reading.refuse(
        node, "unknown_choice",
        fmt::format("{} is not {}{} ({})", node.shown(), with_article(called), suggestion, fmt::join(names, ", ")));
    return -1;
}

std::filesystem::path relative_to_file(const Place& place, const std::filesystem::path& written) {
    if (!place.file || written.is_absolute()) return written;
    return std::filesystem::path(*place.file).parent_path() / written;
}

}  // namespace penstock::config
