#include "app/export/wants.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <regex>
#include <set>

#include "app/export/groups.h"
#include "base/digest.h"
#include "base/secret.h"

namespace penstock::app {
namespace {

constexpr uint64_t most_file_bytes = 512 << 10;  ///< a ConfigMap has room for 1 MiB in all

void each_text(const config::Node& node, const std::function<void(const config::Node&, const std::string& key)>& see,
               const std::string& key = "") {
    if (node.is_scalar()) see(node, key);
    for (const auto& item : node.items) each_text(item, see, key);
    for (const auto& entry : node.entries) each_text(entry.value, see, entry.key);
}

/// `${file:…}` of a text.
std::vector<std::string> file_references(const std::string& text) {
    static const std::regex reference(R"((\$\$\{)|\$\{file:([^}]*)\})");
    std::vector<std::string> found;
    for (std::sregex_iterator at(text.begin(), text.end(), reference), end; at != end; ++at)
        if ((*at)[2].matched) found.push_back((*at)[2].str());
    return found;
}

class Files {
  public:
    explicit Files(std::filesystem::path directory) : directory_(std::move(directory)) {}

    void add_secret(const std::string& path) {
        if (seen_.insert(path).second) found_.push_back({path, true, "", key_of(path)});
    }

    /// Where the text names a file below the configuration's folder.
    Status add_named(const config::Node& node) {
        const auto& path = node.text;
        if (path.empty() || path.size() > 255 || path.starts_with('/') || path.find("..") != path.npos) return {};
        std::error_code ignored;
        auto place = directory_ / path;
        if (path.find_first_of("\n{}$*:") != path.npos || !std::filesystem::is_regular_file(place, ignored)) return {};
        if (!seen_.insert(path).second) return {};
        std::ifstream stream(place, std::ios::binary);
        std::string text((std::istreambuf_iterator<char>(stream)), {});
        if (!stream || text.size() > most_file_bytes || text.find('\0') != text.npos)
            return fail(not_exported(node.place, fmt::format("{} is no text of at most 512 KiB", path),
                                     "put it into the image, and name it by an absolute path"));
        found_.push_back({path, false, std::move(text), key_of(path)});
        return {};
    }

    std::vector<WantedFile> found() && { return std::move(found_); }

  private:
    /// tls/ca.pem -> tls-ca.pem. a/b and a-b would be one.
    std::string key_of(const std::string& path) {
        constexpr size_t longest = 200;  // of 253
        auto begin = std::min(path.find_first_not_of("./"), path.size() - 1);
        auto key = path.substr(begin, longest);
        std::ranges::replace_if(
            key, [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '_' && c != '-'; }, '-');
        if (!keys_.insert(key).second) key += "-" + sha256_hex(path).substr(0, 8);
        return key;
    }

    std::filesystem::path directory_;
    std::set<std::string> seen_;
    std::set<std::string> keys_;
    std::vector<WantedFile> found_;
};

}  // namespace

Result<std::vector<WantedFile>> wanted_files(const config::Document& document, const config::Node& written,
                                             std::vector<std::string>& open) {
    static const std::set<std::string, std::less<>> credentials = {"ca", "cert", "key", "credentials"};
    Files files(document.directory);
    each_text(written, [&](const config::Node& node, const std::string&) {
        for (const auto& path : file_references(node.text)) files.add_secret(path);
    });
    Status status;
    if (const auto* connections = written.find("connections"))
        each_text(*connections, [&](const config::Node& node, const std::string& key) {
            if (!credentials.contains(key) || node.text.empty()) return;
            if (node.text.find('{') == node.text.npos) files.add_secret(node.text);
            else if (std::ranges::find(open, node.text) == open.end()) open.push_back(node.text);
        });
    for (const auto* section : {written.find("pipelines"), written.find("defaults")})
        if (section != nullptr)
            each_text(*section, [&](const config::Node& node, const std::string&) {
                if (status) status = files.add_named(node);
            });
    PN_CHECK(status);
    return std::move(files).found();
}

std::string WantedFile::beside() const {
    if (!path.starts_with('/')) return path;
    auto below = std::string(configuration_folder) + "/";
    return path.starts_with(below) ? path.substr(below.size()) : "";
}

std::vector<WantedVariable> wanted_variables(const config::Node& node) {
    static const std::regex reference(R"((\$\$\{)|\$\{([A-Za-z_]\w*)(:-[^}]*)?\})");
    std::vector<WantedVariable> found;
    each_text(node, [&](const config::Node& one, const std::string&) {
        for (std::sregex_iterator at(one.text.begin(), one.text.end(), reference), end; at != end; ++at) {
            if (!(*at)[2].matched) continue;
            auto known = std::ranges::find(found, (*at)[2].str(), &WantedVariable::name);
            if (known == found.end()) known = found.insert(found.end(), {(*at)[2].str(), false});
            known->required |= !(*at)[3].matched;
        }
    });
    return found;
}

Status check_written_secrets(const config::Node& written) {
    static const std::regex reference(R"(\$\{[^}]*\})");
    std::set<std::string> given;  // a variable's value may be an ordinary word
    for (const auto& one : wanted_variables(written))
        if (const char* value = std::getenv(one.name.c_str())) given.insert(value);
    Status status;
    each_text(written, [&](const config::Node& node, const std::string&) {
        auto text = std::regex_replace(node.text, reference, "***");
        auto shown = redact(text);
        bool secret = shown != text && (shown == "***" || text.find("://") != text.npos);
        if (!status || !secret || given.contains(text)) return;
        status = fail(not_exported(node.place,
                                   fmt::format("{}: a secret is written out, and would be for all to read", node.path),
                                   "refer to it: ${NAME}, an environment variable, or ${file:PATH}"));
    });
    return status;
}

}  // namespace penstock::app
