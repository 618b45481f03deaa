#include "backup/wal_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

#include "backup/part.h"

namespace penstock::backup {
namespace {

constexpr uint64_t log_file_bytes = uint64_t{1}
                                    << 32;  // XLogSegmentsPerXLogId: the middle third of a name counts these

std::optional<uint32_t> hex_number(std::string_view text) {
    uint32_t number = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    bool upper = std::ranges::none_of(text, [](char c) { return c >= 'a' && c <= 'f'; });
    if (text.size() != 8 || failed != std::errc() || end != text.data() + text.size() || !upper) return std::nullopt;
    return number;
}

/// What an object's name says.
struct Named {
    std::optional<WalPiece> piece;
    std::optional<std::pair<uint32_t, Lsn>> beginning;
    std::optional<uint32_t> history;
};

Named parse_name(const WalLayout& layout, std::string_view name) {
    constexpr std::string_view root = "wal/";
    if (!name.starts_with(root)) return {};
    name.remove_prefix(root.size());
    if (name.ends_with(".history"))
        return {.piece = {}, .beginning = {}, .history = hex_number(name.substr(0, name.size() - 8))};
    if (name.size() < 34 || name[8] != '/' || name[33] != '/') return {};
    auto segment = layout.parse_segment(name.substr(9, 24));
    if (!segment || hex_number(name.substr(0, 8)) != segment->first) return {};
    auto rest = name.substr(34);
    if (rest == "begin") return {.piece = {}, .beginning = segment, .history = {}};
    if (rest.size() != 17 || rest[8] != '-') return {};
    auto from = hex_number(rest.substr(0, 8)), to = hex_number(rest.substr(9));
    WalPiece piece{.timeline = segment->first};
    if (!from || !to || *from >= *to || *to > layout.segment_bytes) return {};
    piece.from = segment->second + *from;
    piece.to = segment->second + *to;
    if (layout.block_start(piece.from) != layout.block_start(piece.to - 1)) return {};
    return {.piece = piece, .beginning = {}, .history = {}};
}

/// Of one timeline, sorted by where they begin, the longest first.
void add_stretches(const WalLayout& layout, const std::vector<WalPiece>& pieces, WalIndex& index) {
    WalStretch* open = nullptr;
    for (const auto& piece : pieces) {
        if (open != nullptr && open->timeline == piece.timeline && piece.from <= open->to) {
            if (piece.to > open->to) {
                open->pieces.push_back(piece);
                open->to = piece.to;
            } else if (layout.whole(open->pieces.back())) {
                index.superfluous.push_back(piece);
            }
            continue;
        }
        index.stretches.push_back({.timeline = piece.timeline, .from = piece.from, .to = piece.to, .pieces = {piece}});
        open = &index.stretches.back();
    }
}

}  // namespace

uint64_t WalLayout::block_bytes() const { return std::min(segment_bytes, part_bytes); }

std::string WalLayout::segment_name(uint32_t timeline, Lsn at) const {
    uint64_t number = at.value / segment_bytes, each = log_file_bytes / segment_bytes;
    return fmt::format("{:08X}{:08X}{:08X}", timeline, number / each, number % each);
}

std::optional<std::pair<uint32_t, Lsn>> WalLayout::parse_segment(std::string_view name) const {
    if (name.size() != 24) return std::nullopt;
    auto timeline = hex_number(name.substr(0, 8)), file = hex_number(name.substr(8, 8)),
         rest = hex_number(name.substr(16));
    uint64_t each = log_file_bytes / segment_bytes;
    if (!timeline || *timeline == 0 || !file || !rest || *rest >= each) return std::nullopt;
    return std::pair(*timeline, Lsn((*file * each + *rest) * segment_bytes));
}

std::string WalLayout::segment_folder(uint32_t timeline, Lsn at) const {
    return fmt::format("{}{}/", timeline_folder(timeline), segment_name(timeline, at));
}

std::string WalLayout::piece_name(const WalPiece& piece) const {
    auto start = segment_start(piece.from);
    return fmt::format("{}{:08X}-{:08X}", segment_folder(piece.timeline, piece.from), piece.from - start,
                       piece.to - start);
}

std::string timeline_folder(uint32_t timeline) { return fmt::format("wal/{:08X}/", timeline); }
std::string history_name(uint32_t timeline) { return fmt::format("wal/{:08X}.history", timeline); }

const WalStretch* WalIndex::stretch(uint32_t timeline, Lsn at) const {
    const WalStretch* found = nullptr;
    for (const auto& one : stretches)
        if (one.timeline == timeline && one.from <= at && at <= one.to) found = &one;
    return found;
}

WalIndex index_wal(const WalLayout& layout, const std::vector<std::pair<std::string, uint64_t>>& names) {
    WalIndex index;
    std::vector<WalPiece> pieces;
    for (const auto& [name, size] : names) {
        auto named = parse_name(layout, name);
        if (named.history) index.histories.insert(*named.history);
        if (named.beginning) index.empty_beginnings.insert(*named.beginning);
        if (!named.piece) continue;
        named.piece->stored_bytes = size;
        pieces.push_back(*named.piece);
    }
    std::ranges::sort(pieces, [](const WalPiece& a, const WalPiece& b) {
        return std::tuple(a.timeline, a.from.value, b.to.value) < std::tuple(b.timeline, b.from.value, a.to.value);
    });
    add_stretches(layout, pieces, index);
    for (auto& stretch : index.stretches)
        stretch.begins =
            index.empty_beginnings.erase({stretch.timeline, stretch.from}) > 0;  // a stretch begins with its segment
    return index;
}

}  // namespace penstock::backup
