#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/codec.h"

namespace penstock::config {

/// One option as docs, JSON Schema and scaffolding see it.
struct Option {
    std::string name;
    std::string doc;
    Shape shape;
    bool required = false;
    std::string default_text = {};  ///< as YAML on one line; "" when there is none
    std::string default_note = {};  ///< a sentence in its place, where the default is found out at run time
    std::string example = {};
    std::optional<double> least = {};
    std::optional<double> most = {};
};

/// An option that interface documents name and that this version does not have: refused by name instead of "unknown key".
struct Unavailable {
    std::string name;
    std::string doc;
};

enum class Rule { exactly_one, at_most_one, at_least_one, requires_other };

/// A rule over which options are given. For `requires_other` the first name needs the second.
struct KeyRule {
    Rule rule;
    std::vector<std::string> names;
};

/// The options of one struct, its type left out: what `components`, the JSON Schema, the reference docs and `init` work from.
/// Immutable once made, usually a function-local static; whoever holds a reference relies on that lifetime.
class SpecBase {
  public:
    virtual ~SpecBase() = default;

    const std::string& name() const { return name_; }  ///< as a noun: "postgres source"
    const std::string& doc() const { return doc_; }
    const std::vector<Option>& options() const { return options_; }
    const std::vector<Unavailable>& unavailable() const { return unavailable_; }
    const std::vector<KeyRule>& rules() const { return rules_; }
    const Option* find(std::string_view option) const;

    /// Reads `node` for its problems only.
    virtual void validate(const Node& node, Diagnostics& diagnostics) const = 0;

  protected:
    SpecBase(std::string name, std::string doc) : name_(std::move(name)), doc_(std::move(doc)) {}
    SpecBase(const SpecBase&) = default;
    SpecBase(SpecBase&&) = default;

    /// Reports what needs no types: not a map, unknown and unavailable keys, missing required keys, broken key rules.
    bool check_keys(const Node& node, Diagnostics& diagnostics) const;

    std::string name_;
    std::string doc_;
    std::vector<Option> options_;
    std::vector<Unavailable> unavailable_;
    std::vector<KeyRule> rules_;
};

}  // namespace penstock::config
