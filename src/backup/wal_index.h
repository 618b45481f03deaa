#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connect/postgres/replication/lsn.h"

namespace penstock::backup {

using postgres::Lsn;

/// A piece of a server's log as one object: bytes [from, to) of a timeline. It never crosses a block's end.
struct WalPiece {
    uint32_t timeline = 0;
    Lsn from, to;
    uint64_t stored_bytes = 0;
    bool operator==(const WalPiece&) const = default;
};

/// How a server's log is divided: segments as PostgreSQL names them, and blocks, of which each becomes one object when it is
/// full: the segment, or 16 MiB of a larger one.
struct WalLayout {
    uint64_t segment_bytes = uint64_t{16} << 20;

    uint64_t block_bytes() const;
    Lsn segment_start(Lsn at) const { return at.value - at.value % segment_bytes; }
    Lsn block_start(Lsn at) const { return at.value - at.value % block_bytes(); }
    bool whole(const WalPiece& piece) const { return piece.to - piece.from == block_bytes(); }

    /// "000000010000000000000003": timeline, and the number of the segment that this place is in.
    std::string segment_name(uint32_t timeline, Lsn at) const;
    /// The timeline and the segment's first byte; nothing where it is no such name.
    std::optional<std::pair<uint32_t, Lsn>> parse_segment(std::string_view name) const;

    /// "wal/00000001/000000010000000000000003/"
    std::string segment_folder(uint32_t timeline, Lsn at) const;
    /// Below it: "00000000-01000000", the piece's place in the segment.
    std::string piece_name(const WalPiece& piece) const;
    std::string beginning_name(uint32_t timeline, Lsn at) const { return segment_folder(timeline, at) + "begin"; }
};

std::string timeline_folder(uint32_t timeline);  ///< "wal/00000001/"
std::string history_name(uint32_t timeline);     ///< "wal/00000002.history"

/// Log without a gap: `pieces` in order, each beginning where one before it ends, or earlier.
struct WalStretch {
    uint32_t timeline = 0;
    Lsn from, to;
    /// Whether the store says that a stretch begins in this segment. Where not, what came before it is missing.
    bool begins = false;
    std::vector<WalPiece> pieces;
    bool operator==(const WalStretch&) const = default;
};

/// What of a server's log a store has, by the names of its objects.
struct WalIndex {
    std::vector<WalStretch> stretches;  ///< by timeline, then place
    std::set<uint32_t> histories;       ///< of these timelines
    std::vector<WalPiece> superfluous;  ///< all of it is in a whole block as well
    /// Marked as beginnings, with nothing stored behind them: the first byte of the segment.
    std::set<std::pair<uint32_t, Lsn>> empty_beginnings;

    /// The stretch that has this place or ends there; the one that begins there before the one that ends there.
    const WalStretch* stretch(uint32_t timeline, Lsn at) const;
    /// Where the newest log ends.
    const WalStretch* newest() const { return stretches.empty() ? nullptr : &stretches.back(); }
};

/// Of objects' names below the place, as a store lists them, with their sizes. Names of other kinds are passed over.
WalIndex index_wal(const WalLayout& layout, const std::vector<std::pair<std::string, uint64_t>>& names);

}  // namespace penstock::backup
