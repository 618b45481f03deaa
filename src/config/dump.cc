#include <fmt/format.h>

#include <algorithm>

#include "config/node.h"

namespace penstock::config {
namespace {

/// Texts that YAML would read back as they stand, as a plain scalar. Narrower than the standard allows, on purpose.
bool plain_is_safe(std::string_view text) {
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL" || text == "<<") return false;
    auto safe = [](unsigned char c) {
        return std::isalnum(c) ||
               std::string_view("_-./+@%*() <>=").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!std::all_of(text.begin(), text.end(), safe)) return false;
    unsigned char first = static_cast<unsigned char>(text.front());
    bool starts_well = std::isalnum(first) || first == '_' || first == '.' || first == '/' ||
                       (first == '-' && text.size() > 1 && std::isdigit(static_cast<unsigned char>(text[1])));
    return starts_well && text.back() != ' ' && text.substr(0, 3) != "...";
}

std::string double_quoted(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
                    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
                else out += c;
        }
    }
    return out + '"';
}

std::string scalar_text(const Node& node) {
    const std::string& text = node.reference.empty() ? node.text : node.reference;
    return !node.quoted && plain_is_safe(text) ? text : double_quoted(text);
}

std::string key_text(const std::string& key) { return plain_is_safe(key) ? key : double_quoted(key); }

bool on_one_line(const Node& node) {
    return node.is_null() || node.is_scalar() || (node.items.empty() && node.entries.empty());
}

void dump_block(const Node& node, const std::string& indent, std::string& out) {
    for (const auto& item : node.items) {
        if (on_one_line(item)) {
            out += fmt::format("{}- {}\n", indent, dump_inline(item));
            continue;
        }
        std::string block;
        dump_block(item, indent + "  ", block);
        block.replace(indent.size(), 1, "-");
        out += block;
    }
    for (const auto& entry : node.entries) {
        if (on_one_line(entry.value)) {
            out += fmt::format("{}{}: {}\n", indent, key_text(entry.key), dump_inline(entry.value));
        } else {
            out += fmt::format("{}{}:\n", indent, key_text(entry.key));
            dump_block(entry.value, indent + "  ", out);
        }
    }
}

}  // namespace

std::string dump_inline(const Node& node) {
    std::string out;
    switch (node.kind) {
        case NodeKind::null: return "~";
        case NodeKind::scalar: return scalar_text(node);
        case NodeKind::sequence:
            for (const auto& item : node.items) out += fmt::format("{}{}", out.empty() ? "" : ", ", dump_inline(item));
            return fmt::format("[{}]", out);
        case NodeKind::map:
            for (const auto& entry : node.entries)
                out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", key_text(entry.key), dump_inline(entry.value));
            return fmt::format("{{{}}}", out);
    }
    std::unreachable();
}

bool Node::same_as(const Node& other) const {
    if (kind != other.kind || text != other.text || items.size() != other.items.size() ||
        entries.size() != other.entries.size())
        return false;
    if (quoted != other.quoted && plain_is_safe(text)) return false;
    for (size_t i = 0; i < items.size(); ++i)
        if (!items[i].same_as(other.items[i])) return false;
    for (size_t i = 0; i < entries.size(); ++i)
        if (entries[i].key != other.entries[i].key || !entries[i].value.same_as(other.entries[i].value)) return false;
    return true;
}

std::string dump(const Node& node) {
    if (on_one_line(node)) return dump_inline(node) + "\n";
    std::string out;
    dump_block(node, "", out);
    return out;
}

}  // namespace penstock::config
