#include "config/scaffold.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/assert.h"
#include "config/document.h"
#include "config/scheduling.h"

namespace penstock::config {
namespace {

constexpr size_t line_width = 100;

const Node* value_of(const Given& given, std::string_view option) {
    for (const auto& [name, value] : given)
        if (name == option) return &value;
    return nullptr;
}

/// "append | replace | merge | history" after the meaning, where there is a choice.
std::string remark(const Option& option) {
    std::string out = option.doc;
    std::vector<std::string> names;
    for (const auto& choice : option.shape.choices) names.push_back(choice.name);
    if (!names.empty()) out += fmt::format(" One of: {}.", fmt::join(names, ", "));
    if (!option.default_note.empty()) out += fmt::format(" Default: {}.", option.default_note);
    return out;
}

std::string comment(std::string_view text, const std::string& margin) {
    std::string out;
    std::string line;
    std::istringstream words{std::string(text)};
    for (std::string word; words >> word;) {
        if (!line.empty() && margin.size() + 3 + line.size() + word.size() > line_width)
            out += fmt::format("{}# {}\n", margin, std::exchange(line, ""));
        line += (line.empty() ? "" : " ") + word;
    }
    return out + fmt::format("{}# {}\n", margin, line);
}

/// What stands for an option nobody gave: its example, its default, its first choice.
std::string sample(const Option& option) {
    if (option.shape.kind == Kind::object) {
        std::vector<std::string> parts;
        for (const auto& part : option.shape.object->options())
            parts.push_back(fmt::format("{}: {}", part.name, sample(part)));
        return fmt::format("{{{}}}", fmt::join(parts, ", "));
    }
    if (!option.example.empty()) return option.example;
    if (!option.default_text.empty()) return option.default_text;
    if (!option.shape.choices.empty()) return option.shape.choices.front().name;
    switch (option.shape.kind) {
        case Kind::boolean: return "true";
        case Kind::integer:
        case Kind::number: return "1";
        case Kind::size: return "64MiB";
        case Kind::duration: return "30s";
        case Kind::list: return "[]";
        case Kind::object:
        case Kind::map:
        case Kind::any: return "{}";
        case Kind::text:
        case Kind::choice: return "\"\"";
    }
    std::unreachable();
}

void write_value(const std::string& name, const Node& value, const std::string& margin, std::string& out) {
    out += fmt::format("{}{}: {}\n", margin, name, dump_inline(value));
}

void write_option(const Option& option, const Given& given, const std::string& margin, std::string& out) {
    out += comment(remark(option), margin);
    if (const Node* value = value_of(given, option.name)) {
        write_value(option.name, *value, margin, out);
    } else {
        out += fmt::format("{}{}{}: {}\n", margin, option.required ? "" : "#", option.name, sample(option));
    }
}

const ComponentSpecs& component_of(const std::vector<ScaffoldConnection>& connections, const std::string& name) {
    auto found = std::find_if(connections.begin(), connections.end(),
                              [&](const ScaffoldConnection& one) { return one.name == name; });
    PN_ASSERT(found != connections.end());
    return *found->component;
}

std::string side(std::string_view title, const SpecBase* spec, const std::string& connection, Given given) {
    PN_ASSERT(spec != nullptr);
    given.insert(given.begin(), {"connection", Node::scalar(connection)});
    return fmt::format("    {}:\n{}", title, scaffold_options(*spec, given, 6));
}

}  // namespace

std::string scaffold_options(const SpecBase& spec, const Given& given, int indent) {
    std::string margin(static_cast<size_t>(indent), ' ');
    std::string out;
    // What is in force comes first; what could be, after it.
    for (bool in_force : {true, false})
        for (const auto& option : spec.options())
            if ((option.required || value_of(given, option.name) != nullptr) == in_force)
                write_option(option, given, margin, out);
    return out;
}

std::string scaffold_document(const std::vector<ScaffoldConnection>& connections,
                              const std::vector<ScaffoldPipeline>& pipelines) {
    std::string out =
        "# A line such as '#memory: 512MiB' is an option with its default or an example: uncomment what you need.\n"
        "# 'penstock check' validates this file; 'penstock config-schema' prints its JSON Schema for editors.\n"
        "version: 1\n\n"
        "# Where run history, schedules and locks are kept.\n"
        "state: sqlite:.penstock/state.db\n\n"
        "connections:\n";
    for (const auto& connection : connections) {
        Given given = connection.given;
        given.insert(given.begin(), {"type", Node::scalar(connection.component->type)});
        out +=
            fmt::format("  {}:\n{}\n", connection.name, scaffold_options(*connection.component->connection, given, 4));
    }
    out += comment(defaults_spec().doc(), "") + "#defaults:\n";
    for (const auto& option : defaults_spec().options())
        out += comment(remark(option), "  ") + fmt::format("  #{}: {}\n", option.name, sample(option));
    out += "\npipelines:\n";
    for (const auto& pipeline : pipelines) {
        out += fmt::format("  {}:\n", pipeline.name);
        out += side("source", component_of(connections, pipeline.source_connection).source, pipeline.source_connection,
                    pipeline.source);
        out += side("target", component_of(connections, pipeline.target_connection).target, pipeline.target_connection,
                    pipeline.target);
        for (const auto& option : pipeline_entry_spec().options()) {
            bool usual = option.name == "schedule" || option.name == "after" || value_of(pipeline.given, option.name);
            if (usual && option.name != "source" && option.name != "target")
                write_option(option, pipeline.given, "    ", out);
        }
        out += "\n";
    }
    while (out.ends_with("\n\n")) out.pop_back();
    return out;
}

}  // namespace penstock::config
