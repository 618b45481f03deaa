#include "backup/wal_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "backup/part.h"
#include "backup/sealed_entry.h"
#include "base/assert.h"
#include "base/clock.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr auto entry_name = "wal/log.json";
constexpr auto key_context = "wal";
constexpr uint64_t most_log_entry_bytes = uint64_t{1} << 20;
constexpr uint64_t most_piece_bytes = part_bytes + (uint64_t{1} << 20);

}  // namespace

Result<std::optional<WalStore>> WalStore::open(const Catalog& catalog) {
    auto text = catalog.store().get(catalog.path(entry_name), most_log_entry_bytes);
    if (!text && text.error().code == "no_such_object") return std::optional<WalStore>();
    if (!text) return fail(std::move(text.error()));
    auto url = catalog.url(entry_name);
    PN_TRY(auto entry, open_entry(*text, catalog.key(), url));
    try {
        uint64_t segment_bytes = entry.at("segment_bytes");
        bool sound = segment_bytes >= uint64_t{1} << 20 && segment_bytes <= uint64_t{1} << 30 &&
                     (segment_bytes & (segment_bytes - 1)) == 0;
        if (!sound) return fail(damaged_object(url, "names no possible size of a segment"));
        return std::optional(WalStore(catalog, entry.at("system_identifier"), segment_bytes,
                                      opened_key(entry, catalog.key(), key_context)));
    } catch (const Ordered::exception& error) {
        return fail(damaged_object(url, fmt::format("cannot be read: {}", error.what())));
    }
}

Result<WalStore> WalStore::create(const Catalog& catalog, const std::string& system_identifier,
                                  uint64_t segment_bytes) {
    Ordered entry = {{"format", 1},
                     {"system_identifier", system_identifier},
                     {"segment_bytes", segment_bytes},
                     {"made_at", iso_time(now())},
                     {"key", sealed_key(Key::random(), catalog.key(), key_context)}};
    PN_CHECK(catalog.store().put_new(catalog.path(entry_name), seal_entry(entry, catalog.key())));
    PN_TRY(auto made, open(catalog));
    if (!made) return fail(io::no_such_object(catalog.url(entry_name)));
    return std::move(*made);
}

Result<WalIndex> WalStore::index_below(const std::string& folder) const {
    PN_TRY(auto objects, catalog_.store().list(catalog_.path(folder)));
    std::vector<std::pair<std::string, uint64_t>> names;
    size_t above = catalog_.path("").size();
    names.reserve(objects.size());
    for (const auto& object : objects) names.emplace_back(object.name.substr(above), object.size);
    return index_wal(layout_, names);
}

Result<WalIndex> WalStore::index() const { return index_below("wal/"); }

Result<WalIndex> WalStore::index_segment(uint32_t timeline, Lsn at) const {
    return index_below(layout_.segment_folder(timeline, at));
}

Result<uint64_t> WalStore::put_sealed(const std::string& name, std::string_view raw) const {
    PN_TRY(auto packed, pack_part(raw, key_, name));
    PN_CHECK(catalog_.store().put(catalog_.path(name), packed));
    return packed.size();
}

Result<std::string> WalStore::get_sealed(const std::string& name) const {
    PN_TRY(auto packed, catalog_.store().get(catalog_.path(name), most_piece_bytes));
    return unpack_part(packed, key_, name, catalog_.url(name));
}

Result<uint64_t> WalStore::put(const WalPiece& piece, std::string_view raw) const {
    PN_ASSERT(raw.size() == piece.to - piece.from);
    return put_sealed(layout_.piece_name(piece), raw);
}

Status WalStore::put_beginning(uint32_t timeline, Lsn at) const {
    PN_CHECK(put_sealed(layout_.beginning_name(timeline, at), "begin"));
    return {};
}

Status WalStore::put_history(uint32_t timeline, std::string_view content) const {
    PN_CHECK(put_sealed(history_name(timeline), content));
    return {};
}

Result<std::string> WalStore::get(const WalPiece& piece) const {
    auto name = layout_.piece_name(piece);
    PN_TRY(auto raw, get_sealed(name));
    if (raw.size() != piece.to - piece.from)
        return fail(damaged_object(catalog_.url(name), "is not as long as it says"));
    return raw;
}

Result<std::string> WalStore::get_history(uint32_t timeline) const { return get_sealed(history_name(timeline)); }

Status WalStore::check_beginning(uint32_t timeline, Lsn at) const {
    PN_CHECK(get_sealed(layout_.beginning_name(timeline, at)));
    return {};
}

Status WalStore::remove(const WalPiece& piece) const {
    return catalog_.store().remove(catalog_.path(layout_.piece_name(piece)));
}

Status WalStore::remove_beginning(uint32_t timeline, Lsn at) const {
    return catalog_.store().remove(catalog_.path(layout_.beginning_name(timeline, at)));
}

Result<bool> has_wal(const Catalog& catalog) {
    PN_TRY(auto objects, catalog.store().list(catalog.path("wal/")));
    return !objects.empty();
}

Result<std::string> WalStore::read(const WalStretch& stretch, Lsn from, Lsn to) const {
    std::string out;
    for (const auto& piece : stretch.pieces) {
        Lsn at = from + out.size();
        if (piece.to <= at || at == to) continue;
        PN_ASSERT(piece.from <= at);
        PN_TRY(auto raw, get(piece));
        out.append(raw, at - piece.from, std::min(piece.to, to) - at);
    }
    PN_ASSERT(out.size() == to - from);
    return out;
}

}  // namespace penstock::backup
