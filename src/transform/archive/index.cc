#include "transform/archive/index.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/hex.h"
#include "io/object_store.h"
#include "transform/archive/packing.h"

namespace penstock::archive {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t most_header_bytes = uint64_t{1} << 20;
constexpr uint64_t header_read = uint64_t{4} << 10;

int64_t micros(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint moment(int64_t micros) { return TimePoint(std::chrono::microseconds(micros)); }

bool plain_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

/// Valid UTF-8 by nlohmann's own judgement: dump() throws otherwise.
bool holds_text(std::string_view text) {
    try {
        (void)Json(std::string(text)).dump();
        return true;
    } catch (const Json::exception&) {
        return false;
    }
}

/// `"name":"text"`, or `"name_hex":"…"` for bytes that are no text.
void append_text(std::string& out, std::string_view name, std::string_view text) {
    if (plain_text(text)) out.append("\"").append(name).append("\":\"").append(text).append("\"");
    else if (holds_text(text))
        fmt::format_to(std::back_inserter(out), "\"{}\":{}", name, Json(std::string(text)).dump());
    else fmt::format_to(std::back_inserter(out), "\"{}_hex\":\"{}\"", name, to_hex(text));
}

std::optional<std::string> text_in(const Json& json, const std::string& name) {
    if (auto found = json.find(name); found != json.end())
        return found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
    if (auto found = json.find(name + "_hex"); found != json.end())
        return found->is_string() ? from_hex(found->get_ref<const std::string&>()) : std::nullopt;
    return "";
}

std::optional<int64_t> number_in(const Json& json, const char* name) {
    auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer()) return std::nullopt;
    return found->get<int64_t>();
}

}  // namespace

Error damaged(const std::string& object_url, std::string_view what) {
    return {.kind = ErrorKind::data,
            .code = "archive_damaged",
            .message = fmt::format("{} and its index do not agree: {}", object_url, what),
            .hint =
                "somebody has changed one of them: restore both from a copy, or move both away and leave their "
                "messages out"};
}

std::string header_line(const IndexHeader& header) {
    const auto& object = header.object;
    std::string out = fmt::format("{{\"penstock_archive\":{},", index_version);
    append_text(out, "pipeline", header.pipeline);
    out += ',';
    append_text(out, "segment", header.segment);
    out += ',';
    append_text(out, "route", object.route);
    out += ',';
    append_text(out, "object", object.name);
    out += fmt::format(",\"by\":\"{}\",\"messages\":{},\"bytes\":{},",
                       header.by == ArchiveTime::event ? "event" : "ingestion", object.messages, object.bytes);
    append_text(out, "first_position", object.first_position);
    out += ',';
    append_text(out, "last_position", object.last_position);
    out += fmt::format(",\"first_time_micros\":{},\"last_time_micros\":{},\"sha256\":\"{}\"}}\n",
                       micros(object.first_time), micros(object.last_time), object.sha256);
    return out;
}

std::optional<IndexHeader> read_header(std::string_view line) {
    auto json = Json::parse(line, nullptr, false);
    if (!json.is_object() || number_in(json, "penstock_archive") != index_version) return std::nullopt;
    auto pipeline = text_in(json, "pipeline");
    auto segment = text_in(json, "segment");
    auto route = text_in(json, "route");
    auto object = text_in(json, "object");
    auto by = text_in(json, "by");
    auto messages = number_in(json, "messages");
    auto bytes = number_in(json, "bytes");
    auto first_position = text_in(json, "first_position");
    auto last_position = text_in(json, "last_position");
    auto first = number_in(json, "first_time_micros");
    auto last = number_in(json, "last_time_micros");
    auto sha256 = text_in(json, "sha256");
    if (!pipeline || !segment || !route || !object || !by || !messages || !bytes || *bytes < 0 || !first_position ||
        !last_position || !first || !last || !sha256)
        return std::nullopt;
    return IndexHeader{.object = {.name = *object,
                                  .route = *route,
                                  .messages = *messages,
                                  .bytes = static_cast<uint64_t>(*bytes),
                                  .first_position = *first_position,
                                  .last_position = *last_position,
                                  .first_time = moment(*first),
                                  .last_time = moment(*last),
                                  .sha256 = *sha256},
                       .pipeline = *pipeline,
                       .segment = *segment,
                       .by = *by == "event" ? ArchiveTime::event : ArchiveTime::ingestion};
}

Result<std::optional<IndexHeader>> load_header(io::ObjectStore& store, const std::string& object) {
    std::string name = object + std::string(index_suffix);
    PN_TRY(auto there, store.info(name));
    if (!there) return std::optional<IndexHeader>();
    PN_TRY(auto unpacker, Unpacker::make(ArchiveCompression::zstd));
    std::string text;
    PN_TRY(auto reader, store.read(name));
    while (text.size() < most_header_bytes && text.find('\n') == text.npos) {
        PN_TRY(auto packed, reader->read(header_read));
        if (packed.empty()) break;
        for (std::string_view rest = packed; !rest.empty() && text.find('\n') == text.npos;) {
            auto used = unpacker.add(rest, text, header_read);
            if (!used) return fail(damaged(store.url(object), used.error()));
            rest.remove_prefix(*used);
        }
    }
    auto header = read_header(std::string_view(text).substr(0, text.find('\n')));
    if (!header) return fail(damaged(store.url(object), "the index has no header that this version knows"));
    header->object.name = object;  // wherever it was moved to
    return header;
}

void append_entry(std::string& out, const flow::Message& message, std::optional<TimePoint> time) {
    // One for every message: no format string is looked at.
    auto number = [&out](std::string_view before, auto value) {
        fmt::format_int digits(value);
        out.append(before).append(digits.data(), digits.size());
    };
    number("{\"length\":", message.payload.size());
    out += ',';
    append_text(out, "position", message.position);
    number(",\"received\":", message.received_micros);
    number(",\"sent\":", message.sent_micros);
    if (time) number(",\"time\":", micros(*time));
    if (!message.key.empty()) {
        out += ',';
        append_text(out, "key", message.key);
    }
    if (!message.attributes.empty()) {
        out += ',';
        append_text(out, "attributes", message.attributes);  // as text, to come back as it was
    }
    out += "}\n";
}

std::optional<IndexEntry> read_entry(std::string_view line) {
    auto json = Json::parse(line, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    auto length = number_in(json, "length");
    auto position = text_in(json, "position");
    auto received = number_in(json, "received");
    auto sent = number_in(json, "sent");
    auto time = json.contains("time") ? number_in(json, "time") : received;
    auto key = text_in(json, "key");
    auto attributes = text_in(json, "attributes");
    if (!length || *length < 0 || !position || !received || !sent || !time || !key || !attributes) return std::nullopt;
    return IndexEntry{.length = static_cast<uint64_t>(*length),
                      .position = std::move(*position),
                      .attributes = std::move(*attributes),
                      .key = std::move(*key),
                      .sent_micros = *sent,
                      .received_micros = *received,
                      .time = moment(*time)};
}

}  // namespace penstock::archive
