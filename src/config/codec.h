#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "config/diagnostics.h"
#include "config/node.h"
#include "config/values.h"

namespace penstock::config {

class SpecBase;

/// What an option accepts, for docs and JSON Schema.
enum class Kind { text, boolean, integer, number, size, duration, choice, object, list, map, any };

struct Choice {
    std::string name;
    std::string doc;
};

struct Shape {
    Kind kind = Kind::text;
    std::string noun = "text";  ///< as docs name it: `text`, `size`, `list of text`
    std::string pattern = {};   ///< of texts with a form of their own, as JSON Schema has it
    bool secret = false;
    std::vector<Choice> choices = {};
    std::shared_ptr<const Shape> element = {};  ///< of lists and maps, and of an object's keys that are names
    const SpecBase* object = nullptr;
    std::shared_ptr<const Shape> alternative = {};  ///< another form of the same option
};

/// What an author may want to know about one option beside its meaning. Bounds hold for integers and numbers.
struct About {
    std::string example = {};
    std::string default_note =
        {};  ///< what holds when the option is absent, where the member's initial value does not say it
    std::optional<double> least = {};
    std::optional<double> most = {};
    std::string noun = {};  ///< what docs call the type, where "anything" would say too little
};

/// Passed down while a tree is read.
struct Reading {
    Diagnostics& diagnostics;
    const About& about;

    /// Reports a problem with `node` and is false, for `return reading.refuse(…)`.
    bool refuse(const Node& node, std::string code, std::string_view message, std::string hint = {}) const {
        diagnostics.add(problem(node, std::move(code), message, std::move(hint)));
        return false;
    }
};

/// How one C++ type is read from YAML, written back (defaults in docs), and described. Codecs compose: a list of X is read by
/// the codec of X.
template <class X>
struct Codec {
    Shape shape;
    /// Reads into a value that holds its default; false when it could not, having reported why.
    std::function<bool(const Node&, X&, const Reading&)> read;
    /// The value as YAML; a null node when there is nothing to show.
    std::function<Node(const X&)> write;
};

/// The types that need no codec of their own are those with a specialisation here.
template <class X>
struct BuiltIn;

Codec<std::string> text_codec();
Codec<Secret> secret_codec();
Codec<bool> boolean_codec();
Codec<int64_t> integer_codec();
Codec<double> number_codec();
Codec<Bytes> size_codec();
Codec<std::chrono::microseconds> duration_codec();
Codec<FilePath> path_codec();
Codec<Node> any_codec();

/// A text with a form of its own: `parse` gives the value or an error whose message and hint are reported at the option.
template <class X>
Codec<X> parsed_text_codec(std::string noun, std::string pattern, std::function<Result<X>(std::string_view)> parse,
                           std::function<std::string(const X&)> write);

template <>
struct BuiltIn<std::string> {
    static Codec<std::string> codec() { return text_codec(); }
};
template <>
struct BuiltIn<Secret> {
    static Codec<Secret> codec() { return secret_codec(); }
};
template <>
struct BuiltIn<bool> {
    static Codec<bool> codec() { return boolean_codec(); }
};
template <>
struct BuiltIn<int64_t> {
    static Codec<int64_t> codec() { return integer_codec(); }
};
template <>
struct BuiltIn<double> {
    static Codec<double> codec() { return number_codec(); }
};
template <>
struct BuiltIn<Bytes> {
    static Codec<Bytes> codec() { return size_codec(); }
};
template <>
struct BuiltIn<std::chrono::microseconds> {
    static Codec<std::chrono::microseconds> codec() { return duration_codec(); }
};
template <>
struct BuiltIn<FilePath> {
    static Codec<FilePath> codec() { return path_codec(); }
};
template <>
struct BuiltIn<Node> {
    static Codec<Node> codec() { return any_codec(); }
};

// ---- composition -------------------------------------------------------------------------------------------------------

/// The scalar's text, or false after reporting that `wanted` was expected. `typed` wants are refused in quotes, unless the
/// value came from a reference.
bool read_scalar(const Node& node, std::string_view wanted, bool typed, const Reading& reading);

Shape list_shape(const Shape& element);
Shape map_shape(const Shape& element);

template <class X>
Codec<std::optional<X>> optional_of(Codec<X> inner) {
    return {inner.shape,
            [inner](const Node& node, std::optional<X>& into, const Reading& reading) {
                X value = into.value_or(X{});
                if (!inner.read(node, value, reading)) return false;
                into = std::move(value);
                return true;
            },
            [inner](const std::optional<X>& value) { return value ? inner.write(*value) : Node{}; }};
}

template <class X>
Codec<Located<X>> located(Codec<X> inner) {
    return {inner.shape,
            [inner](const Node& node, Located<X>& into, const Reading& reading) {
                into.place = node.place;
                return inner.read(node, into.value, reading);
            },
            [inner](const Located<X>& value) { return inner.write(value.value); }};
}

/// A value that is no list is read as a list of one. A list replaces the default list.
template <class X>
Codec<std::vector<X>> list_of(Codec<X> inner) {
    return {list_shape(inner.shape),
            [inner](const Node& node, std::vector<X>& into, const Reading& reading) {
                into.clear();
                bool good = true;
                auto take = [&](const Node& item) {
                    X value{};
                    good = inner.read(item, value, reading) && good;
                    into.push_back(std::move(value));
                };
                if (!node.is_sequence()) take(node);
                for (const auto& item : node.items) take(item);
                return good;
            },
            [inner](const std::vector<X>& values) {
                std::vector<Node> items;
                for (const auto& value : values) items.push_back(inner.write(value));
                return items.empty() ? Node{} : Node::sequence(std::move(items));
            }};
}

template <class X>
Codec<std::map<std::string, X>> map_of(Codec<X> inner) {
    return {map_shape(inner.shape),
            [inner](const Node& node, std::map<std::string, X>& into, const Reading& reading) {
                if (!node.is_map())
                    return reading.refuse(node, "wrong_type",
                                          std::string("expected a map, found ") + std::string(describe(node.kind)));
                bool good = true;
                for (const auto& entry : node.entries) good = inner.read(entry.value, into[entry.key], reading) && good;
                return good;
            },
            [inner](const std::map<std::string, X>& values) {
                std::vector<Node::Entry> entries;
                for (const auto& [key, value] : values) entries.push_back({key, {}, inner.write(value)});
                return entries.empty() ? Node{} : Node::map(std::move(entries));
            }};
}

template <class X>
struct BuiltIn<std::optional<X>> {
    static Codec<std::optional<X>> codec() { return optional_of(BuiltIn<X>::codec()); }
};
template <class X>
struct BuiltIn<Located<X>> {
    static Codec<Located<X>> codec() { return located(BuiltIn<X>::codec()); }
};
template <class X>
struct BuiltIn<std::vector<X>> {
    static Codec<std::vector<X>> codec() { return list_of(BuiltIn<X>::codec()); }
};
template <class X>
struct BuiltIn<std::map<std::string, X>> {
    static Codec<std::map<std::string, X>> codec() { return map_of(BuiltIn<X>::codec()); }
};

/// The type inside optional, Located, vector and map: what a choice or a nested spec is given for.
template <class M>
struct LeafOf {
    using type = M;
};
template <class X>
struct LeafOf<std::optional<X>> : LeafOf<X> {};
template <class X>
struct LeafOf<Located<X>> : LeafOf<X> {};
template <class X>
struct LeafOf<std::vector<X>> : LeafOf<X> {};
template <class X>
struct LeafOf<std::map<std::string, X>> : LeafOf<X> {};
template <class M>
using Leaf = typename LeafOf<M>::type;

/// The codec of M from the one of its leaf.
template <class M>
struct Lift {
    static Codec<M> from(Codec<M> leaf) { return leaf; }
};
template <class X>
struct Lift<std::optional<X>> {
    static Codec<std::optional<X>> from(Codec<Leaf<X>> leaf) { return optional_of(Lift<X>::from(std::move(leaf))); }
};
template <class X>
struct Lift<Located<X>> {
    static Codec<Located<X>> from(Codec<Leaf<X>> leaf) { return located(Lift<X>::from(std::move(leaf))); }
};
template <class X>
struct Lift<std::vector<X>> {
    static Codec<std::vector<X>> from(Codec<Leaf<X>> leaf) { return list_of(Lift<X>::from(std::move(leaf))); }
};
template <class X>
struct Lift<std::map<std::string, X>> {
    static Codec<std::map<std::string, X>> from(Codec<Leaf<X>> leaf) { return map_of(Lift<X>::from(std::move(leaf))); }
};

// ---- enums and texts of their own ----------------------------------------------------------------------------------------

template <class E>
struct EnumChoice {
    std::string name;
    E value;
    std::string doc = {};
};

/// The index of the scalar among `choices`, or -1 after reporting; `noun` is what one of them is called ("mode").
int read_choice(const Node& node, const std::vector<Choice>& choices, const std::string& noun, const Reading& reading);

template <class E>
Codec<E> choice_codec(std::string noun, std::vector<EnumChoice<E>> choices) {
    Shape shape{.kind = Kind::choice, .noun = "choice"};
    for (const auto& choice : choices) shape.choices.push_back({choice.name, choice.doc});
    auto names = shape.choices;
    return {shape,
            [names, choices, noun](const Node& node, E& into, const Reading& reading) {
                int found = read_choice(node, names, noun, reading);
                if (found >= 0) into = choices[static_cast<size_t>(found)].value;
                return found >= 0;
            },
            [choices](const E& value) {
                for (const auto& choice : choices)
                    if (choice.value == value) return Node::scalar(choice.name);
                return Node{};
            }};
}

/// Reports the error of a text that `parse` refused. A value from a reference is not echoed: the reference is named instead.
bool refuse_text(const Node& node, const std::string& noun, Error error, const Reading& reading);

template <class X>
Codec<X> parsed_text_codec(std::string noun, std::string pattern, std::function<Result<X>(std::string_view)> parse,
                           std::function<std::string(const X&)> write) {
    Shape shape{.kind = Kind::text, .noun = noun, .pattern = std::move(pattern)};
    return {shape,
            [noun, parse](const Node& node, X& into, const Reading& reading) {
                if (!read_scalar(node, noun, false, reading)) return false;
                auto value = parse(node.text);
                if (!value) return refuse_text(node, noun, std::move(value.error()), reading);
                into = std::move(*value);
                return true;
            },
            [write](const X& value) {
                std::string text = write(value);
                return text.empty() ? Node{} : Node::scalar(std::move(text));
            }};
}

}  // namespace penstock::config
