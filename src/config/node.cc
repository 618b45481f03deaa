#include "config/node.h"

#include <fmt/format.h>

namespace penstock::config {

std::string Place::text() const {
    if (line == 0) return {};
    return fmt::format("{}:{}:{}", file ? *file : "", line, column);
}

std::string_view describe(NodeKind kind) {
    switch (kind) {
        case NodeKind::null: return "nothing";
        case NodeKind::scalar: return "text";
        case NodeKind::sequence: return "a list";
        case NodeKind::map: return "a map";
    }
    std::unreachable();
}

Node Node::scalar(std::string text, bool quoted) {
    Node node;
    node.kind = NodeKind::scalar;
    node.text = std::move(text);
    node.quoted = quoted;
    return node;
}

Node Node::sequence(std::vector<Node> items) {
    Node node;
    node.kind = NodeKind::sequence;
    node.items = std::move(items);
    return node;
}

Node Node::map(std::vector<Entry> entries) {
    Node node;
    node.kind = NodeKind::map;
    node.entries = std::move(entries);
    return node;
}

const Node::Entry* Node::entry(std::string_view key) const {
    for (const auto& entry : entries)
        if (entry.key == key) return &entry;
    return nullptr;
}

const Node* Node::find(std::string_view key) const {
    const Entry* found = entry(key);
    return found ? &found->value : nullptr;
}

std::string Node::shown() const {
    static constexpr size_t longest = 60;
    const std::string& safe = reference.empty() ? text : reference;
    if (safe.size() <= longest) return fmt::format("'{}'", safe);
    size_t cut = longest;
    while (cut > 0 && (static_cast<unsigned char>(safe[cut]) & 0xC0) == 0x80) --cut;  // not inside a UTF-8 sequence
    return fmt::format("'{}…'", safe.substr(0, cut));
}

Error problem(const Node& node, std::string code, std::string_view message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = node.path.empty() ? std::string(message) : fmt::format("{}: {}", node.path, message),
            .where = node.place.text(),
            .hint = std::move(hint)};
}

void assign_paths(Node& node) {
    for (size_t i = 0; i < node.items.size(); ++i) {
        node.items[i].path = fmt::format("{}[{}]", node.path, i);
        assign_paths(node.items[i]);
    }
    for (auto& entry : node.entries) {
        entry.value.path = node.path.empty() ? entry.key : fmt::format("{}.{}", node.path, entry.key);
        assign_paths(entry.value);
    }
}

}  // namespace penstock::config
