#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::config {

/// Where something stands in a configuration file. Lines and columns count from 1; line 0 means "nowhere", as for values
/// that a program made.
struct Place {
    std::shared_ptr<const std::string> file;
    int line = 0;
    int column = 0;

    /// penstock.yaml:12:15, or "" when nowhere.
    std::string text() const;
};

enum class NodeKind { null, scalar, sequence, map };

/// "a map", "a list", "text", "nothing": for sentences about what was found.
std::string_view describe(NodeKind kind);

/// One value of a YAML file with everything below it: a plain value that is copied, stored and handed on freely. Aliases and
/// merge keys (`<<`) are already expanded; a value that came by an alias keeps the place where it is written.
struct Node {
    struct Entry;

    NodeKind kind = NodeKind::null;
    Place place;
    /// From the root, as people write it: `pipelines.events.target.key[0]`. "" for the root.
    std::string path;
    /// Scalars: the value, after references were resolved.
    std::string text;
    /// Scalars: written in quotes (or as a block), so it can only be text.
    bool quoted = false;
    /// Scalars: the text as written when it held references (`${…}`), else "". Messages show this one, never the value.
    std::string reference;
    /// Scalars: what each reference stood for, so that a secret option can have them redacted.
    std::vector<std::string> resolved;
    /// Scalars: a reference in it could not be resolved, which was reported; its text means nothing.
    bool unresolved = false;
    /// Sequences.
    std::vector<Node> items;
    /// Maps, in the order of the file.
    std::vector<Entry> entries;

    static Node scalar(std::string text, bool quoted = false);
    static Node sequence(std::vector<Node> items);
    static Node map(std::vector<Entry> entries);

    bool is_null() const { return kind == NodeKind::null; }
    bool is_scalar() const { return kind == NodeKind::scalar; }
    bool is_sequence() const { return kind == NodeKind::sequence; }
    bool is_map() const { return kind == NodeKind::map; }

    /// The entry or value of a key of a map; nullptr when this is no map or has no such key.
    const Entry* entry(std::string_view key) const;
    const Node* find(std::string_view key) const;

    /// The scalar in quotes as it may be shown: `'mergee'`, or `'${MODE}'` when it came from a reference.
    std::string shown() const;

    /// The same kinds, texts and keys in the same order, and quotes where they matter (`"5"` is not `5`); places do not count.
    bool same_as(const Node& other) const;
};

struct Node::Entry {
    std::string key;
    Place place;  ///< of the key; the value has its own
    Node value;
};

/// A configuration error about `node`: "path: message", its place, and a hint.
Error problem(const Node& node, std::string code, std::string_view message, std::string hint = {});

/// The text as one YAML document. `name` stands for the file in places. Refused with a place: syntax errors, duplicate keys,
/// keys that are not text, tags, more than one document, and what exceeds a bound (1 MiB of text, 64 levels, 100,000 values
/// or 16 MiB after aliases are expanded). References are left as they are: see reference.h. An empty text is a null node.
Result<Node> load_text(std::string_view text, const std::string& name);

/// The file, by `load_text`. The error for a file that cannot be read says why.
Result<Node> load(const std::string& path);

/// The node as YAML, block style, two spaces a level; `load_text` reads back the same (`same_as`) node.
std::string dump(const Node& node);
/// On one line, in flow style: `{a: 1, b: [x, y]}`.
std::string dump_inline(const Node& node);

/// Sets every `path` below `node` from its own. Needed only after building or moving nodes by hand.
void assign_paths(Node& node);

}  // namespace penstock::config
