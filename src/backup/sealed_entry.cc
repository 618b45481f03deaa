#include "backup/sealed_entry.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "backup/part.h"
#include "base/assert.h"
#include "base/hex.h"

namespace penstock::backup {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr int known_format = 1;
constexpr std::string_view seal_mark = "\nhmac-sha256 ";

Error wrong_key(const std::string& url, const std::string& written, const std::string& ours) {
    return {.kind = ErrorKind::configuration,
            .code = "wrong_backup_key",
            .message = fmt::format(
                "{} was written with another key: its fingerprint is {}, that of the configuration's key {}", url,
                written, ours),
            .where = url,
            .hint = "set `store: {encrypt: …}` to the key that this backup was taken with"};
}

}  // namespace

std::string seal_entry(const Ordered& entry, const Key& key) {
    std::string text = entry.dump(1);
    return text + fmt::format("{}{}\n", seal_mark, key.sign(text));
}

Result<Ordered> open_entry(const std::string& text, const Key& key, const std::string& url) {
    auto damaged = [&](std::string_view what) { return fail(damaged_object(url, what)); };
    auto mark = text.rfind(seal_mark);
    if (mark == text.npos) return damaged("is damaged: it has no seal");
    auto body = std::string_view(text).substr(0, mark);
    auto seal = std::string_view(text).substr(mark + seal_mark.size());
    Ordered json = Ordered::parse(body, nullptr, false);
    if (seal != key.sign(body) + "\n") {
        auto by = json.is_object() ? json.value("key", Ordered::object()) : Ordered();
        std::string written = by.is_object() && by.contains("fingerprint") && by["fingerprint"].is_string()
                                  ? by["fingerprint"].get<std::string>()
                                  : key.fingerprint();
        if (written != key.fingerprint()) return fail(wrong_key(url, written, key.fingerprint()));
        return damaged("is damaged: its seal does not hold, so some bit of it is not what was written");
    }
    if (!json.is_object() || !json.contains("format")) return damaged("is no entry of a catalog");
    if (json["format"] != known_format)
        return fail(
            {.kind = ErrorKind::refused,
             .code = "newer_backup",
             .message = fmt::format("{} is of format {}, which this version does not know", url, json["format"].dump()),
             .hint = "restore it with the version of Penstock that took it, or a later one"});
    return json;
}

Ordered sealed_key(const Key& parts, const Key& key, const std::string& context) {
    return {{"fingerprint", key.fingerprint()}, {"sealed", to_hex(key.seal(parts.bytes(), context))}};
}

Key opened_key(const Ordered& entry, const Key& key, const std::string& context) {
    auto sealed = from_hex(entry.at("key").at("sealed").get<std::string>());
    auto opened = sealed ? key.open(*sealed, context) : std::nullopt;
    PN_ASSERT(opened);  // the entry's own seal holds with this key
    return Key(*opened);
}

}  // namespace penstock::backup
