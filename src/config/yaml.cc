// The only file that speaks to yaml-cpp: its event interface is used because its node interface drops duplicate keys, copies
// nothing of where keys stand, and expands aliases without bound.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>

#include "config/node.h"

namespace penstock::config {
namespace {

constexpr size_t most_text = size_t{1} << 20;
constexpr size_t most_nodes = 100'000;
constexpr size_t most_bytes = size_t{16} << 20;
constexpr size_t most_levels = 64;
constexpr size_t longest_key = 256;

/// Thrown through yaml-cpp, which offers no other way to stop it, and caught in `load_text`.
struct Refusal {
    Error error;
};

struct Measure {
    size_t nodes = 1;
    size_t bytes = 0;
    size_t levels = 1;
};

Measure measure(const Node& node) {
    Measure sum;
    sum.bytes = node.text.size();
    auto add = [&](const Node& child, size_t key_bytes) {
        Measure part = measure(child);
        sum.nodes += part.nodes;
        sum.bytes += part.bytes + key_bytes;
        sum.levels = std::max(sum.levels, part.levels + 1);
    };
    for (const auto& item : node.items) add(item, 0);
    for (const auto& entry : node.entries) add(entry.value, entry.key.size());
    return sum;
}

/// Builds the tree from yaml-cpp's events. A collection is open from its start to its end event; what closes is added to the
/// one that is open around it.
class TreeBuilder : public YAML::EventHandler {
  public:
    explicit TreeBuilder(std::shared_ptr<const std::string> file) : file_(std::move(file)) {}

    Node take_root() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1)
            refuse(mark, "several_documents", "the file holds more than one YAML document",
                   "remove the '---' line and what follows, or split the file");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Node node;
        node.place = place(mark);
        finish(std::move(node), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        auto found = anchors_.find(anchor);
        if (found == anchors_.end()) refuse(mark, "alias_of_itself", "this alias refers to the value it stands in");
        const auto& [node, size] = found->second;
        charge(mark, size);
        finish(node, 0);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        Node node = Node::scalar(value, tag == "!" || tag == "tag:yaml.org,2002:str");
        node.place = place(mark);
        if (tag != "?" && !node.quoted && !tag.empty()) refuse_tag(mark, tag);
        charge(mark, {1, value.size(), 1});
        finish(std::move(node), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, NodeKind::sequence);
    }
    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, anchor, NodeKind::map);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        Node node;
        YAML::anchor_t anchor;
        bool has_key = false;
        std::string key = {};
        Place key_place = {};
        std::vector<Node> merged = {};  ///< values of `<<`, nearest first
        bool merges = false;            ///< the pending key is `<<`
    };

    Place place(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

    [[noreturn]] void refuse(Place where, std::string code, std::string message, std::string hint = {}) {
        throw Refusal{{.kind = ErrorKind::configuration,
                       .code = std::move(code),
                       .message = std::move(message),
                       .where = where.text(),
                       .hint = std::move(hint)}};
    }
    [[noreturn]] void refuse(const YAML::Mark& mark, std::string code, std::string message, std::string hint = {}) {
        refuse(place(mark), std::move(code), std::move(message), std::move(hint));
    }
    [[noreturn]] void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        refuse(mark, "yaml_tag", fmt::format("the YAML tag '{}' is not supported", tag),
               "write the value without a tag");
    }

    void charge(const YAML::Mark& mark, const Measure& size) {
        nodes_ += size.nodes;
        bytes_ += size.bytes;
        if (nodes_ > most_nodes || bytes_ > most_bytes)
            refuse(mark, "configuration_too_large",
                   fmt::format("the configuration grows past {} values or {} MiB", most_nodes, most_bytes >> 20),
                   "an alias that repeats a large part is expanded each time it is used");
        if (open_.size() + size.levels > most_levels)
            refuse(mark, "configuration_too_deep", fmt::format("values are nested deeper than {} levels", most_levels));
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, NodeKind kind) {
        if (tag != "?" && tag != "!" && !tag.empty()) refuse_tag(mark, tag);
        charge(mark, {});
        Open opened{.node = {}, .anchor = anchor};
        opened.node.kind = kind;
        opened.node.place = place(mark);
        open_.push_back(std::move(opened));
    }

    void close() {
        Open closed = std::move(open_.back());
        open_.pop_back();
        merge_into(closed);
        finish(std::move(closed.node), closed.anchor);
    }

    /// A value is complete: it becomes the root, an item, a key, or the value of the pending key.
    void finish(Node node, YAML::anchor_t anchor) {
        if (anchor != 0) anchors_[anchor] = {node, measure(node)};
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& around = open_.back();
        if (around.node.is_sequence()) {
            around.node.items.push_back(std::move(node));
        } else if (!around.has_key) {
            take_key(around, std::move(node));
        } else {
            around.has_key = false;
            if (std::exchange(around.merges, false)) return take_merge(around, std::move(node));
            around.node.entries.push_back({std::move(around.key), std::move(around.key_place), std::move(node)});
        }
    }

    void take_key(Open& around, Node key) {
        if (!key.is_scalar())
            refuse(key.place, "key_not_text", fmt::format("a key must be text, found {}", describe(key.kind)),
                   "a value that starts with '{' or '[' must stand in quotes");
        if (key.text.size() > longest_key)
            refuse(key.place, "key_too_long", fmt::format("a key is longer than {} characters", longest_key));
        around.has_key = true;
        around.merges = key.text == "<<" && !key.quoted;
        if (const auto* before = around.node.entry(key.text))
            refuse(key.place, "duplicate_key", fmt::format("duplicate key '{}'", key.text),
                   fmt::format("it stands already at {}; keep one", before->place.text()));
        around.key = std::move(key.text);
        around.key_place = std::move(key.place);
    }

    void take_merge(Open& around, Node value) {
        if (value.is_map()) {
            around.merged.push_back(std::move(value));
            return;
        }
        for (auto& item : value.items)
            if (!item.is_map())
                refuse(item.place, "merge_not_map", fmt::format("'<<' merges maps, found {}", describe(item.kind)));
        if (!value.is_sequence())
            refuse(value.place, "merge_not_map", fmt::format("'<<' merges maps, found {}", describe(value.kind)));
        for (auto& item : value.items) around.merged.push_back(std::move(item));
    }

    /// Own keys win over merged ones, earlier merged maps over later ones.
    void merge_into(Open& closed) {
        for (auto& merged : closed.merged)
            for (auto& entry : merged.entries)
                if (!closed.node.entry(entry.key)) closed.node.entries.push_back(std::move(entry));
    }

    std::shared_ptr<const std::string> file_;
    Node root_;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, std::pair<Node, Measure>> anchors_;
    size_t nodes_ = 0;
    size_t bytes_ = 0;
    int documents_ = 0;
};

std::string_view line_of(std::string_view text, int line) {
    while (line-- > 0) {
        size_t end = text.find('\n');
        if (end == text.npos) return {};
        text.remove_prefix(end + 1);
    }
    return text.substr(0, text.find('\n'));
}

/// yaml-cpp says what it stumbled over, rarely why; the usual reasons can be told from the line.
std::string hint_for(const std::string& message, std::string_view line) {
    if (line.find('\t') < line.find_first_not_of(" \t")) return "indent with spaces; YAML allows no tabs there";
    size_t brace = line.find("${");
    if (brace != line.npos && line.substr(0, brace).find_first_of("{[") != line.npos &&
        (brace == 0 || (line[brace - 1] != '"' && line[brace - 1] != '\'')))
        return "inside { } or [ ] a reference must stand in quotes: \"${NAME}\"";
    if (message.find("illegal map value") != message.npos)
        return "a text that holds ': ' must stand in quotes; else look at the indentation";
    if (message.find("end of map") != message.npos || message.find("end of sequence") != message.npos)
        return "look at the indentation, at unclosed brackets and at quotes on this line and the one above";
    return "look at the indentation and the quotes on this line and the one above";
}

/// Paths repeat the keys above them; a hostile file could make that large where the keys alone are not.
size_t path_bytes(const Node& node, size_t prefix) {
    size_t sum = prefix;
    for (const auto& item : node.items) sum += path_bytes(item, prefix + 4);
    for (const auto& entry : node.entries) sum += path_bytes(entry.value, prefix + entry.key.size() + 1);
    return sum;
}

}  // namespace

Result<Node> load_text(std::string_view text, const std::string& name) {
    auto refuse = [&](std::string code, std::string message, std::string where, std::string hint = {}) {
        return fail({.kind = ErrorKind::configuration,
                     .code = std::move(code),
                     .message = std::move(message),
                     .where = std::move(where),
                     .hint = std::move(hint)});
    };
    if (text.size() > most_text)
        return refuse("configuration_too_large", fmt::format("the file is larger than {} MiB", most_text >> 20), name);
    if (text.find('\0') != text.npos)
        return refuse("yaml_syntax", "the file is not text: it holds a zero byte", name, "save it as UTF-8");
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        TreeBuilder builder(std::make_shared<const std::string>(name));
        while (parser.HandleNextDocument(builder)) {
        }
        Node root = builder.take_root();
        if (path_bytes(root, 0) > most_bytes)
            return refuse("configuration_too_large", "keys are too long for the number of values below them", name);
        assign_paths(root);
        return root;
    } catch (const Refusal& refusal) {
        return fail(refusal.error);
    } catch (const YAML::Exception& exception) {
        Place place{std::make_shared<const std::string>(name), exception.mark.line + 1, exception.mark.column + 1};
        return refuse("yaml_syntax", fmt::format("this is not valid YAML: {}", exception.msg), place.text(),
                      hint_for(exception.msg, line_of(text, exception.mark.line)));
    } catch (const std::exception& exception) {
        return refuse("yaml_syntax", fmt::format("this is not valid YAML: {}", exception.what()), name);
    }
}

Result<Node> load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text;
    if (file) {
        text.resize(most_text + 1);
        file.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<size_t>(file.gcount()));
    }
    if (!file.is_open() || file.bad() || (text.empty() && !file.eof())) {
        int reason = errno;
        return fail({.kind = ErrorKind::configuration,
                     .code = "configuration_not_readable",
                     .message = fmt::format("cannot read the configuration file '{}': {}", path, std::strerror(reason)),
                     .hint = reason == ENOENT ? "write one with 'penstock init', or name it with -f FILE" : ""});
    }
    return load_text(text, path);
}

}  // namespace penstock::config
