#include "base/secret.h"

#include <mutex>
#include <vector>

namespace penstock {
namespace {

std::mutex secrets_mutex;
std::vector<std::string> secrets;

void replace_all(std::string& text, const std::string& what, std::string_view with) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
}

/// scheme://user:password@host becomes scheme://user:***@host.
void hide_url_passwords(std::string& text) {
    for (size_t at = text.find("://"); at != text.npos; at = text.find("://", at + 3)) {
        size_t begin = at + 3;
        size_t end = text.find_first_of("/ \n\t\"'?", begin);
        size_t host = text.rfind('@', end == text.npos ? text.size() : end);
        size_t colon = text.find(':', begin);
        if (host == text.npos || colon == text.npos || host < begin || colon > host) continue;
        text.replace(colon + 1, host - colon - 1, "***");
    }
}

}  // namespace

void remember_secret(const std::string& value) {
    // A very short secret would blot out ordinary words; such a one is found only in its own place.
    if (value.size() < 4) return;
    // One of several lines, as a key in PEM, is told line by line, too.
    constexpr size_t least_line = 12;
    for (size_t begin = 0, end = value.find('\n'); end != value.npos || begin > 0; end = value.find('\n', begin)) {
        auto line = value.substr(begin, end - begin);
        while (line.ends_with('\r')) line.pop_back();
        if (line.size() >= least_line) remember_secret(line);
        if (end == value.npos) break;
        begin = end + 1;
    }
    std::lock_guard lock(secrets_mutex);
    for (const auto& known : secrets)
        if (known == value) return;
    secrets.push_back(value);
}

std::string redact(std::string text) {
    {
        std::lock_guard lock(secrets_mutex);
        for (const auto& secret : secrets) replace_all(text, secret, "***");
    }
    hide_url_passwords(text);
    return text;
}

}  // namespace penstock
