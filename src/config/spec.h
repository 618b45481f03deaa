#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <vector>

#include "config/spec_base.h"

namespace penstock::config {

/// The options of the struct T, each described once and bound to a member. From it come parsing, defaults (the initial values
/// of T), errors with places, JSON Schema, docs and scaffolding.
///
///     const Spec<TlsOptions>& tls_spec() {
///         static const auto made = Spec<TlsOptions>("tls", "How the connection is encrypted.")
///             .choice("mode", &TlsOptions::mode, {{"disable", TlsMode::disable, "No encryption."}, …}, "…")
///             .field("ca", &TlsOptions::ca, "Certificates that are trusted.", {.example = "server-ca.pem"});
///         return made;
///     }
///
/// Members: std::string, Secret, bool, int64_t, double, Bytes, std::chrono::microseconds, FilePath, Node (anything, unread),
/// Located<X> (`Text` is Located<std::string>), std::optional<X>, std::vector<X>, std::map<std::string, X>; enums by `choice`;
/// structs by their own Spec; other types by a Codec. For the last three the member may again be an optional, Located, vector
/// or map of it. A nested Spec must live as long as this one.
template <class T>
class Spec : public SpecBase {
  public:
    using Struct = T;

    Spec(std::string name, std::string doc) : SpecBase(std::move(name), std::move(doc)) {}

    template <class M, class C>
    Spec&& field(std::string name, M C::* member, std::string doc, About about = {}) && {
        return std::move(*this).add(std::move(name), member, BuiltIn<M>::codec(), std::move(doc), std::move(about),
                                    false);
    }
    template <class M, class C>
    Spec&& field(std::string name, M C::* member, const Spec<Leaf<M>>& nested, std::string doc, About about = {}) && {
        return std::move(*this).add(std::move(name), member, Lift<M>::from(nested.codec()), std::move(doc),
                                    std::move(about), false);
    }
    template <class M, class C>
    Spec&& field(std::string name, M C::* member, Codec<Leaf<M>> codec, std::string doc, About about = {}) && {
        return std::move(*this).add(std::move(name), member, Lift<M>::from(std::move(codec)), std::move(doc),
                                    std::move(about), false);
    }

    template <class M, class C>
    Spec&& required(std::string name, M C::* member, std::string doc, About about = {}) && {
        return std::move(*this).add(std::move(name), member, BuiltIn<M>::codec(), std::move(doc), std::move(about),
                                    true);
    }
    template <class M, class C>
    Spec&& required(std::string name, M C::* member, const Spec<Leaf<M>>& nested, std::string doc,
                    About about = {}) && {
        return std::move(*this).add(std::move(name), member, Lift<M>::from(nested.codec()), std::move(doc),
                                    std::move(about), true);
    }
    template <class M, class C>
    Spec&& required(std::string name, M C::* member, Codec<Leaf<M>> codec, std::string doc, About about = {}) && {
        return std::move(*this).add(std::move(name), member, Lift<M>::from(std::move(codec)), std::move(doc),
                                    std::move(about), true);
    }

    template <class M, class C>
    Spec&& choice(std::string name, M C::* member, std::vector<EnumChoice<Leaf<M>>> choices, std::string doc,
                  About about = {}) && {
        auto codec = Lift<M>::from(choice_codec<Leaf<M>>(name, std::move(choices)));
        return std::move(*this).add(std::move(name), member, std::move(codec), std::move(doc), std::move(about), false);
    }

    /// All options, rules and checks of a base struct of T.
    template <class B>
        requires std::derived_from<T, B>
    Spec&& include(const Spec<B>& base) && {
        options_.insert(options_.end(), base.options().begin(), base.options().end());
        unavailable_.insert(unavailable_.end(), base.unavailable().begin(), base.unavailable().end());
        rules_.insert(rules_.end(), base.rules().begin(), base.rules().end());
        for (const auto& field : base.fields_) fields_.push_back({field.about, field.read, field.write});
        for (const auto& check : base.checks_) checks_.push_back(check);
        return std::move(*this);
    }

    /// A key of the documented interface that this version refuses by name.
    Spec&& unavailable(std::string name, std::string doc) && {
        unavailable_.push_back({std::move(name), std::move(doc)});
        return std::move(*this);
    }
    using SpecBase::unavailable;

    Spec&& one_of(std::vector<std::string> names) && {
        return std::move(*this).rule(Rule::exactly_one, std::move(names));
    }
    Spec&& at_most_one_of(std::vector<std::string> names) && {
        return std::move(*this).rule(Rule::at_most_one, std::move(names));
    }
    Spec&& at_least_one_of(std::vector<std::string> names) && {
        return std::move(*this).rule(Rule::at_least_one, std::move(names));
    }
    /// Where `name` is given, `other` must be too.
    Spec&& requires_other(std::string name, std::string other) && {
        return std::move(*this).rule(Rule::requires_other, {std::move(name), std::move(other)});
    }

    /// A condition over the whole struct, asked once everything in it was read without a problem. An error without a place
    /// gets that of the struct; its message gets the path in front either way.
    Spec&& check(std::function<Status(const T&, const Node&)> condition) && {
        checks_.push_back(std::move(condition));
        return std::move(*this);
    }

    /// Reads `node` over the values of `into`; false when anything was reported. What could be read has been.
    bool read(const Node& node, T& into, Diagnostics& diagnostics) const {
        bool good = check_keys(node, diagnostics);
        for (size_t i = 0; i < fields_.size(); ++i) {
            const Node* value = node.find(options_[i].name);
            if (value == nullptr) continue;
            good = fields_[i].read(*value, into, {diagnostics, fields_[i].about}) && good;
        }
        for (size_t i = 0; good && i < checks_.size(); ++i) {
            Status status = checks_[i](into, node);
            if (status) continue;
            good = false;
            // A condition that looked closer has named the path itself.
            bool named = !node.path.empty() && status.error().message.starts_with(node.path);
            Error located = named ? status.error()
                                  : problem(node, status.error().code, status.error().message, status.error().hint);
            if (!status.error().where.empty()) located.where = status.error().where;
            diagnostics.add(std::move(located));
        }
        return good;
    }

    /// Reads `node` over `initial`. All problems of the node in one error.
    Result<T> parse(const Node& node, T initial = {}) const {
        Diagnostics diagnostics;
        if (!read(node, initial, diagnostics)) return fail(diagnostics.error());
        return initial;
    }

    void validate(const Node& node, Diagnostics& diagnostics) const override {
        T scratch{};
        read(node, scratch, diagnostics);
    }

    /// The struct as YAML, without what has nothing to show. Secrets are written as `***`.
    Node write(const T& value) const {
        std::vector<Node::Entry> entries;
        for (size_t i = 0; i < fields_.size(); ++i)
            if (Node node = fields_[i].write(value); !node.is_null())
                entries.push_back({options_[i].name, {}, std::move(node)});
        Node node = Node::map(std::move(entries));
        assign_paths(node);
        return node;
    }

    /// This spec as the codec of a member. The spec must outlive it.
    Codec<T> codec() const {
        Shape shape{.kind = Kind::object, .noun = "map", .object = this};
        return {
            shape,
            [this](const Node& node, T& into, const Reading& reading) { return read(node, into, reading.diagnostics); },
            [this](const T& value) {
                Node node = write(value);
                return node.entries.empty() ? Node{} : node;
            }};
    }

    /// The same, where a text alone stands for a map with this one option.
    Codec<T> codec_or(std::string option) const {
        Codec<T> made = codec();
        made.shape.alternative = std::make_shared<const Shape>();
        made.read = [whole = made.read, option = std::move(option)](const Node& node, T& into, const Reading& reading) {
            if (!node.is_scalar()) return whole(node, into, reading);
            Node map = Node::map({{option, node.place, node}});
            map.place = node.place;
            map.path = node.path;
            return whole(map, into, reading);
        };
        return made;
    }

  private:
    template <class>
    friend class Spec;

    struct Field {
        About about;
        std::function<bool(const Node&, T&, const Reading&)> read;
        std::function<Node(const T&)> write;
    };

    template <class M, class C>
        requires std::derived_from<T, C>
    Spec&& add(std::string name, M C::* member, Codec<M> codec, std::string doc, About about, bool required) && {
        Option option{.name = std::move(name), .doc = std::move(doc), .shape = codec.shape, .required = required};
        option.example = about.example;
        if (!about.noun.empty()) option.shape.noun = about.noun;
        option.least = about.least;
        option.most = about.most;
        option.default_note = about.default_note;
        if (!required && option.default_note.empty())
            if (Node initial = codec.write(T{}.*member); !initial.is_null()) option.default_text = dump_inline(initial);
        options_.push_back(std::move(option));
        fields_.push_back({std::move(about),
                           [member, codec](const Node& node, T& into, const Reading& reading) {
                               return codec.read(node, into.*member, reading);
                           },
                           [member, codec](const T& value) { return codec.write(value.*member); }});
        return std::move(*this);
    }

    Spec&& rule(Rule rule, std::vector<std::string> names) && {
        rules_.push_back({rule, std::move(names)});
        return std::move(*this);
    }

    std::vector<Field> fields_;
    std::vector<std::function<Status(const T&, const Node&)>> checks_;
};

/// `spec.parse(node)`, for symmetry with the other free functions.
template <class T>
Result<T> parse(const Spec<T>& spec, const Node& node) {
    return spec.parse(node);
}

}  // namespace penstock::config
