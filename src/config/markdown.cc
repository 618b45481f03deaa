#include "config/markdown.h"

#include <fmt/format.h>

#include "config/document.h"
#include "config/scheduling.h"

namespace penstock::config {
namespace {

/// A cell of a table: no line breaks, no bars.
std::string cell(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '|') out += '\\';
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

const Shape& leaf_of(const Shape& shape) { return shape.element ? leaf_of(*shape.element) : shape; }

std::string meaning(const Option& option) {
    std::string out = cell(option.doc);
    for (const auto& choice : leaf_of(option.shape).choices)
        out += choice.doc.empty() ? fmt::format("<br>`{}`", choice.name)
                                  : fmt::format("<br>`{}`: {}", choice.name, cell(choice.doc));
    if (!option.example.empty()) out += fmt::format("<br>Example: `{}`", cell(option.example));
    if (leaf_of(option.shape).secret) out += "<br>Never shown.";
    return out;
}

std::string default_cell(const Option& option) {
    if (option.required) return "required";
    if (!option.default_note.empty()) return cell(option.default_note);
    // The defaults of a nested map stand at its own options.
    if (option.default_text.empty() || option.shape.kind == Kind::object) return "";
    return fmt::format("`{}`", cell(option.default_text));
}

constexpr std::string_view table_head = "| Option | Type | Default | Meaning |\n|---|---|---|---|\n";

void rows(const SpecBase& spec, const std::string& prefix, const SpecBase* without, std::string& out) {
    for (const auto& option : spec.options()) {
        if (without != nullptr && without->find(option.name)) continue;
        out += fmt::format("| `{}{}` | {} | {} | {} |\n", prefix, option.name, cell(option.shape.noun),
                           default_cell(option), meaning(option));
        std::string inner = prefix + option.name + ".";
        if (option.shape.object && option.shape.element)
            rows(*option.shape.object, inner, without, out), inner += "NAME.";
        if (const SpecBase* nested = leaf_of(option.shape).object; nested && nested != without)
            rows(*nested, inner, without, out);
    }
}

std::string rules(const SpecBase& spec) {
    std::string out;
    for (const auto& rule : spec.rules()) {
        std::string names = fmt::format("`{}`", fmt::join(rule.names, "`, `"));
        switch (rule.rule) {
            case Rule::exactly_one: out += fmt::format("- Exactly one of {}.\n", names); break;
            case Rule::at_most_one: out += fmt::format("- At most one of {}.\n", names); break;
            case Rule::at_least_one: out += fmt::format("- At least one of {}.\n", names); break;
            case Rule::requires_other: out += fmt::format("- `{}` needs `{}`.\n", rule.names[0], rule.names[1]); break;
        }
    }
    return out.empty() ? out : "\n" + out;
}

std::string section(std::string_view title, const SpecBase* spec) {
    if (spec == nullptr) return {};
    return fmt::format("\n## {}\n\n{}\n\n{}", title, spec->doc(), options_markdown(*spec));
}

}  // namespace

std::string options_markdown(const SpecBase& spec) {
    std::string out(table_head);
    rows(spec, "", nullptr, out);
    return out + rules(spec);
}

std::string component_markdown(const ComponentSpecs& component) {
    return fmt::format("# {}\n\n{}\n{}{}{}", component.type, component.doc, section("Connection", component.connection),
                       section("Source", component.source), section("Target", component.target));
}

std::string configuration_markdown(const Catalog& catalog) {
    std::string out = "# penstock.yaml\n\nUnknown keys are errors. Relative paths are relative to the file.\n";
    out += fmt::format("\n## Top level\n\n{}", table_head);
    rows(document_spec(), "", &defaults_spec(), out);
    out += section("Defaults", &defaults_spec());
    out +=
        "\n## Connections\n\nOne entry a system, by a name of your choice; `type` decides the other options.\n\n| Type "
        "| Source | Target | What it is |\n|---|---|---|---|\n";
    for (const auto& component : catalog)
        out += fmt::format("| [{0}]({0}.md) | {1} | {2} | {3} |\n", component.type, component.source ? "yes" : "",
                           component.target ? "yes" : "", cell(component.doc));
    out += fmt::format("\n## Pipelines\n\n{} Beside these options it may have each of [Defaults](#defaults).\n\n{}",
                       pipeline_entry_spec().doc(), table_head);
    rows(pipeline_entry_spec(), "", &defaults_spec(), out);
    out += rules(pipeline_entry_spec());
    out += section("Backups", &backup_spec());
    out +=
        "\n## References\n\n| Written | Stands for |\n|---|---|\n"
        "| `${NAME}` | the environment variable; an unset one is an error |\n"
        "| `${NAME:-default}` | the same, or the default where it is unset or empty |\n"
        "| `${file:/path}` | the content of a file, without its last line break |\n"
        "| `$${` | the two characters `${` themselves |\n"
        "\nInside `{ }` or `[ ]` a reference must stand in quotes. The content of files is never shown, nor are "
        "variables whose names say that they are secrets (`DB_PASSWORD`, `API_TOKEN`, `SALT`), nor options that are "
        "marked so.\n";
    return out;
}

}  // namespace penstock::config
