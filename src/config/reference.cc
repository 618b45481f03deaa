#include "config/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/humane.h"
#include "base/secret.h"

namespace penstock::config {
namespace {

constexpr size_t largest_file = size_t{1} << 20;

std::optional<std::string> variable_of_process(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
}

Result<std::string> file_of_process(const std::string& path) {
    auto refuse = [](std::string reason) {
        return fail({.kind = ErrorKind::configuration, .code = "reference_file", .message = std::move(reason)});
    };
    std::error_code status;
    if (std::filesystem::is_directory(path, status)) return refuse("it is a directory");
    std::ifstream file(path, std::ios::binary);
    if (!file) return refuse(std::strerror(errno));
    std::string text(largest_file + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    if (text.size() > largest_file) return refuse(fmt::format("it is larger than {}", humane_bytes(largest_file)));
    return text;
}

/// Whether a variable says by its name that it must not be shown, wherever in the configuration it stands. What names a secret
/// (a file, a URL, an id) is none.
bool names_secret(std::string name) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    for (std::string_view end : {"_FILE", "_PATH", "_URL", "_URI", "_ID", "_NAME"})
        if (name.ends_with(end)) return false;
    constexpr std::string_view words[] = {"PASSWORD",    "PASSWD",     "PASSPHRASE",    "SECRET",
                                          "TOKEN",       "SALT",       "API_KEY",       "ACCESS_KEY",
                                          "PRIVATE_KEY", "BACKUP_KEY", "ENCRYPTION_KEY"};
    return std::ranges::any_of(words, [&](std::string_view word) { return name.find(word) != name.npos; });
}

bool is_variable_name(std::string_view name) {
    auto letter = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
    return !name.empty() && !std::isdigit(static_cast<unsigned char>(name.front())) &&
           std::all_of(name.begin(), name.end(), letter);
}

/// Resolves the references of one scalar.
class Replacement {
  public:
    Replacement(Node& node, const Surroundings& surroundings, Diagnostics& diagnostics)
        : node_(node), surroundings_(surroundings), diagnostics_(diagnostics) {}

    void run() {
        std::string_view rest = node_.text;
        while (true) {
            size_t at = rest.find("${");
            if (at == rest.npos) break;
            if (at > 0 && rest[at - 1] == '$') {
                out_ += rest.substr(0, at - 1);
                out_ += "${";
                rest.remove_prefix(at + 2);
                continue;
            }
            size_t end = rest.find('}', at);
            std::string_view body = rest.substr(at + 2, end == rest.npos ? rest.npos : end - at - 2);
            if (end == rest.npos || body.find("${") != body.npos)
                return report(
                    "reference_syntax",
                    end == rest.npos ? "a reference '${' is not closed by '}'" : "references cannot be nested",
                    "write '$${' for the two characters themselves");
            out_ += rest.substr(0, at);
            auto value = look_up(body);
            if (!value) return;
            out_ += *value;
            resolved_.push_back(std::move(*value));
            rest.remove_prefix(end + 1);
        }
        out_ += rest;
        if (!resolved_.empty()) node_.reference = std::move(node_.text);
        node_.text = std::move(out_);
        node_.resolved = std::move(resolved_);
    }

  private:
    void report(std::string code, std::string_view message, std::string hint) {
        node_.unresolved = true;
        diagnostics_.add(problem(node_, std::move(code), message, std::move(hint)));
    }

    std::optional<std::string> look_up(std::string_view body) {
        if (body.starts_with("file:")) return file(std::string(body.substr(5)));
        for (std::string_view scheme : {"gcp-secret", "vault"}) {
            if (!body.starts_with(scheme) || body.substr(scheme.size(), 1) != ":") continue;
            report("reference_unavailable",
                   fmt::format("references of the form '${{{}:…}}' are not available in this version", scheme),
                   "hand the value over as an environment variable ${NAME} or a file ${file:/path}");
            return std::nullopt;
        }
        return variable(body);
    }

    std::optional<std::string> variable(std::string_view body) {
        size_t dash = body.find(":-");
        std::string name(body.substr(0, dash));
        if (!is_variable_name(name)) {
            report("reference_syntax", fmt::format("'${{{}}}' is not a reference", body),
                   "write ${NAME}, ${NAME:-default} or ${file:/path}; '$${' stands for the two characters themselves");
            return std::nullopt;
        }
        auto value = surroundings_.variable(name);
        if (dash != body.npos && (!value || value->empty())) return std::string(body.substr(dash + 2));
        if (!value)
            report("variable_not_set", fmt::format("the environment variable '{}' is not set", name),
                   fmt::format("set it (export {}=…), or give a default: ${{{}:-…}}", name, name));
        if (value && names_secret(name)) remember_secret(*value);
        return value;
    }

    std::optional<std::string> file(const std::string& path) {
        if (path.empty()) {
            report("reference_syntax", "'${file:}' names no file", "write ${file:/path}");
            return std::nullopt;
        }
        std::filesystem::path directory =
            node_.place.file ? std::filesystem::path(*node_.place.file).parent_path() : "";
        auto text = surroundings_.file((directory / path).string());
        if (!text) {
            report("reference_file",
                   fmt::format("cannot read the file of '${{file:{}}}': {}", path, text.error().message),
                   "relative paths are relative to the configuration file");
            return std::nullopt;
        }
        if (text->ends_with('\n')) text->pop_back();
        if (text->ends_with('\r')) text->pop_back();
        remember_secret(*text);
        return std::move(*text);
    }

    Node& node_;
    const Surroundings& surroundings_;
    Diagnostics& diagnostics_;
    std::string out_;
    std::vector<std::string> resolved_;
};

}  // namespace

const Surroundings& Surroundings::of_process() {
    static const Surroundings process{variable_of_process, file_of_process};
    return process;
}

void resolve_references(Node& root, const Surroundings& surroundings, Diagnostics& diagnostics) {
    if (root.is_scalar()) Replacement(root, surroundings, diagnostics).run();
    for (auto& item : root.items) resolve_references(item, surroundings, diagnostics);
    for (auto& entry : root.entries) resolve_references(entry.value, surroundings, diagnostics);
}

}  // namespace penstock::config
