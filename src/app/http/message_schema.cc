#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "app/http/message.h"

namespace penstock::app::http {
namespace {

using Json = nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

// std::regex, which checks `pattern`, takes a frame of the stack for each
// letter; validation one for each level.
constexpr size_t most_text_bytes = 4096;
constexpr int most_levels = 32;
constexpr size_t most_violations = 20;

/// Before the text is parsed into anything.
bool too_deep(const std::string& text) {
    int level = 0;
    bool in_text = false;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (in_text) {
            if (c == '\\') ++i;
            else if (c == '"') in_text = false;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            if (++level > most_levels) return true;
        } else if (c == '}' || c == ']') {
            --level;
        }
    }
    return false;
}

/// The JSON Pointer of the first text that is too long.
std::optional<std::string> too_long(const Json& value, const std::string& path) {
    if (value.is_string() && value.get_ref<const std::string&>().size() > most_text_bytes) return path;
    for (const auto& [key, child] : value.items()) {
        if (value.is_primitive()) break;
        if (key.size() > most_text_bytes) return path;
        if (auto found = too_long(child, path + "/" + key)) return found;
    }
    return std::nullopt;
}

/// ["<root>", "[client]", "[0]"] as /client/0.
std::string pointer_of(const std::vector<std::string>& context) {
    std::string pointer;
    for (const auto& part : context) {
        if (part == "<root>") continue;
        bool bracketed = part.size() > 1 && part.front() == '[' && part.back() == ']';
        pointer += "/" + (bracketed ? part.substr(1, part.size() - 2) : part);
    }
    return pointer;
}

/// The part of a schema that speaks of a place, as far as it can be told by
/// walking `properties` and `items`.
std::string part_for(const Json& schema, const std::vector<std::string>& context) {
    const Json* at = &schema;
    for (const auto& part : context) {
        if (part == "<root>") continue;
        auto name = part.substr(1, part.size() - 2);
        if (!at->is_object()) return "";
        if (auto all = at->find("properties"); all != at->end() && all->is_object() && all->contains(name))
            at = &(*all)[name];
        else if (auto items = at->find("items"); items != at->end() && items->is_object()) at = &*items;
        else return "";
    }
    return at == &schema ? "" : at->dump();
}

/// What only repeats that something below is wrong.
bool is_echo(const std::string& description) { return description.starts_with("Failed to validate against schema"); }

std::optional<std::string> scalar(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number() || value.is_boolean()) return value.dump();
    return std::nullopt;
}

Parameters parameters_of(const Json& message) {
    Parameters parameters;
    for (const auto& [name, value] : message.items()) {
        if (auto one = scalar(value)) parameters[name] = {*one};
        if (!value.is_array()) continue;
        std::vector<std::string> all;
        for (const auto& item : value)
            if (auto one = scalar(item)) all.push_back(*one);
        if (all.size() == value.size()) parameters[name] = std::move(all);
    }
    return parameters;
}

Error bad_schema(const std::filesystem::path& file, const std::string& why) {
    return {.kind = ErrorKind::configuration,
            .code = "bad_schema",
            .message = fmt::format("{} is no JSON Schema that can be used: {}", file.string(), why),
            .where = file.string(),
            .hint = "drafts 4 to 7 are understood"};
}

}  // namespace

struct MessageSchema::Parsed {
    Json text;
    valijson::Schema schema;
};

MessageSchema::MessageSchema() = default;
MessageSchema::MessageSchema(MessageSchema&&) noexcept = default;
MessageSchema::~MessageSchema() = default;

Result<MessageSchema> MessageSchema::load(const std::filesystem::path& file) {
    MessageSchema made;
    if (file.empty()) return made;
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) return fail(bad_schema(file, "it cannot be read"));
    made.parsed_ = std::make_unique<Parsed>();
    made.parsed_->text = Json::parse(text.str(), nullptr, false);
    if (!made.parsed_->text.is_object()) return fail(bad_schema(file, "it is no JSON object"));
    try {
        valijson::SchemaParser parser;
        parser.populateSchema(Adapter(made.parsed_->text), made.parsed_->schema);
    } catch (const std::exception& error) {
        return fail(bad_schema(file, error.what()));
    }
    return made;
}

Parameters MessageSchema::check(const std::string& body, std::vector<Violation>& violations) const {
    if (too_deep(body)) return violations.push_back({"", "the message is nested too deeply", ""}), Parameters();
    auto message = Json::parse(body, nullptr, false);
    if (!message.is_object()) {
        violations.push_back(
            {"", message.is_discarded() ? "the message is no JSON" : "the message is no JSON object", ""});
        return {};
    }
    if (auto path = too_long(message, ""))
        return violations.push_back({*path, fmt::format("a text is longer than {} bytes", most_text_bytes), ""}),
               Parameters();
    if (parsed_ == nullptr) return parameters_of(message);
    valijson::ValidationResults results;
    try {
        valijson::Validator validator;
        if (validator.validate(parsed_->schema, Adapter(message), &results)) return parameters_of(message);
    } catch (const std::exception& error) {
        violations.push_back({"", fmt::format("the message could not be checked: {}", error.what()), ""});
    }
    for (bool echoes : {false, true}) {
        for (const auto& found : results)
            if (is_echo(found.description) == echoes && violations.size() < most_violations)
                violations.push_back(
                    {pointer_of(found.context), found.description, part_for(parsed_->text, found.context)});
        if (!violations.empty()) break;
    }
    return {};
}

nlohmann::ordered_json violations_json(const std::vector<Violation>& violations) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& one : violations) {
        auto expected = nlohmann::ordered_json::parse(one.expected, nullptr, false);
        std::string hint =
            expected.is_object() && expected.contains("description") && expected["description"].is_string()
                ? expected["description"].get<std::string>()
            : expected.is_object() ? "make it what `expected` says"
                                   : "compare the message with the schema of the trigger";
        list.push_back({{"path", one.path},
                        {"reason", one.reason},
                        {"expected", expected.is_object() ? expected : nlohmann::ordered_json()},
                        {"hint", hint}});
    }
    return list;
}

}  // namespace penstock::app::http
