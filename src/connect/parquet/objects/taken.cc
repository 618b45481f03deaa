#include "connect/parquet/objects/taken.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "transform/debezium/decode_bytes.h"

namespace penstock::parquet {
namespace {

constexpr size_t entry_bytes = 16;

uint64_t hash_of(const std::string& text) {
    uint64_t value = 0;
    auto digits = sha256_hex(text).substr(0, 16);
    std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return value;
}

Error unreadable(std::string_view position) {
    return {.kind = ErrorKind::data,
            .code = "bad_position",
            .message = fmt::format("the target's checkpoint is none of a source of files: {}", position.substr(0, 100)),
            .hint =
                "the table was loaded by another source under this pipeline's name: give the pipeline another name, "
                "or run it with --full-refresh"};
}

void put(std::string& out, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

uint64_t get(std::string_view from, size_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= uint64_t{static_cast<unsigned char>(from[at + i])} << (8 * i);
    return value;
}

}  // namespace

Taken::Known Taken::known(const io::ObjectInfo& object) {
    auto micros = object.modified.time_since_epoch().count();
    auto mark = hash_of(fmt::format("{} {}", object.size, micros));
    return {.seconds = static_cast<uint32_t>(std::clamp<int64_t>(micros / 1'000'000, 0, UINT32_MAX)),
            .mark = static_cast<uint32_t>(mark)};
}

Taken::Is Taken::look(const io::ObjectInfo& object) const {
    auto now = known(object);
    auto found = objects_.find(hash_of(object.name));
    if (found == objects_.end()) return now.seconds <= until_ ? Is::older : Is::fresh;
    return found->second.mark == now.mark ? Is::taken : Is::changed;
}

void Taken::add(const io::ObjectInfo& object) {
    objects_[hash_of(object.name)] = known(object);
    if (objects_.size() <= most_) return;
    // A quarter at once, so that it is seldom looked for.
    std::vector<uint32_t> times;
    for (const auto& [hash, one] : objects_) times.push_back(one.seconds);
    auto quarter = times.begin() + static_cast<std::ptrdiff_t>(most_ / 4);
    std::ranges::nth_element(times, quarter);
    until_ = std::max(until_, *quarter);
    forgotten_ +=
        static_cast<int64_t>(std::erase_if(objects_, [&](const auto& one) { return one.second.seconds <= until_; }));
}

void Taken::forget_down_to(int64_t there) { forgotten_ = std::min(forgotten_, there); }

std::string Taken::to_json() const {
    std::string packed;
    for (const auto& [hash, one] : objects_)
        put(packed, hash, 8), put(packed, one.seconds, 4), put(packed, one.mark, 4);
    return nlohmann::ordered_json{{"objects", objects_.size()},
                                  {"taken", debezium::encode_bytes(packed, debezium::Binaries::base64)},
                                  {"until", until_},
                                  {"before", forgotten_}}
        .dump();
}

Result<Taken> Taken::parse(std::string_view position, size_t most) {
    auto json = nlohmann::json::parse(position, nullptr, false);
    auto is_number = [&](const char* name) { return json.contains(name) && json[name].is_number_integer(); };
    if (!json.is_object() || !json.contains("taken") || !json["taken"].is_string() || !is_number("until") ||
        !is_number("before"))
        return fail(unreadable(position));
    const auto& text = json["taken"].get_ref<const std::string&>();
    std::string packed(debezium::decoded_size(text, debezium::Binaries::base64), '\0');
    auto size = debezium::decode_bytes(text, debezium::Binaries::base64, packed.data());
    if (!size || *size % entry_bytes != 0) return fail(unreadable(position));
    Taken made(most);
    for (size_t at = 0; at < *size; at += entry_bytes)
        made.objects_[get(packed, at, 8)] = {.seconds = static_cast<uint32_t>(get(packed, at + 8, 4)),
                                             .mark = static_cast<uint32_t>(get(packed, at + 12, 4))};
    made.until_ = json["until"].get<uint32_t>();
    made.forgotten_ = json["before"].get<int64_t>();
    return made;
}

}  // namespace penstock::parquet
