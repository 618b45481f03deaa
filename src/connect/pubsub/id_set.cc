#include "connect/pubsub/id_set.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/base64.h"

namespace penstock::pubsub {
namespace {

using Json = nlohmann::json;

/// A longer text before the number is not a prefix that many ids share.
constexpr size_t most_prefix = 8;

/// Where the number begins with which an id ends, if the number's own text is what stands there: 0012 is not.
std::optional<uint64_t> number_of(const std::string& id, size_t& begin) {
    begin = id.size();
    while (begin > 0 && id[begin - 1] >= '0' && id[begin - 1] <= '9') --begin;
    const char *from = id.data() + begin, *to = id.data() + id.size();
    if (from == to || begin > most_prefix || (*from == '0' && to - from > 1)) return std::nullopt;
    uint64_t number = 0;
    if (std::from_chars(from, to, number).ec != std::errc()) return std::nullopt;
    return number;
}

/// Seven bits a byte, the lowest first; the highest bit says that more come.
std::string encode_numbers(std::vector<uint64_t>& numbers) {
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    std::string bytes;
    uint64_t last = 0;
    for (uint64_t number : numbers) {
        uint64_t distance = number - last;
        for (; distance >= 0x80; distance >>= 7) bytes.push_back(static_cast<char>(distance | 0x80));
        bytes.push_back(static_cast<char>(distance));
        last = number;
    }
    return to_base64(bytes);
}

bool decode_numbers(const std::string& prefix, const std::string& text, std::vector<std::string>& ids) {
    auto bytes = from_base64(text);
    if (!bytes) return false;
    uint64_t last = 0, distance = 0;
    int shift = 0;
    for (unsigned char byte : *bytes) {
        if (shift > 63) return false;
        distance |= uint64_t{byte & 0x7FU} << shift;
        shift += 7;
        if ((byte & 0x80U) != 0) continue;
        last += distance;
        ids.push_back(prefix + std::to_string(last));
        distance = 0;
        shift = 0;
    }
    return shift == 0;
}

std::unexpected<Error> bad_ids() {
    return fail({.kind = ErrorKind::data,
                 .code = "bad_checkpoint",
                 .message = "the checkpoint's message ids cannot be read",
                 .hint = "run once with --full-refresh, or give the pipeline another name or target"});
}

}  // namespace

Json encode_ids(const std::vector<std::string>& ids) {
    std::map<std::string, std::vector<uint64_t>> numbers;
    Json texts = Json::array();
    for (const auto& id : ids) {
        size_t begin = 0;
        if (auto number = number_of(id, begin)) numbers[id.substr(0, begin)].push_back(*number);
        else texts.push_back(id);
    }
    Json numbered = Json::object();
    for (auto& [prefix, list] : numbers) numbered[prefix] = encode_numbers(list);
    return {{"numbered", std::move(numbered)}, {"texts", std::move(texts)}};
}

Result<std::vector<std::string>> decode_ids(const Json& encoded) {
    std::vector<std::string> ids;
    try {
        for (const auto& [prefix, text] : encoded.at("numbered").items())
            if (!decode_numbers(prefix, text.get<std::string>(), ids)) return bad_ids();
        for (const auto& text : encoded.at("texts")) ids.push_back(text.get<std::string>());
    } catch (const std::exception&) {
        return bad_ids();
    }
    return ids;
}

}  // namespace penstock::pubsub
