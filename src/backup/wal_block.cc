#include "backup/wal_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"

namespace penstock::backup {

Result<WalBlock> WalBlock::open(const WalStore& store, const WalStart& start, const WalIndex& index) {
    WalBlock block(store, start);
    auto end = store.layout().block_start(start.from) + store.layout().block_bytes();
    for (const auto& stretch : index.stretches)
        for (const auto& piece : stretch.pieces)
            if (piece.timeline == start.timeline && piece.from >= start.from && piece.to <= end)
                block.pieces_.push_back(piece);
    const auto* stretch = index.stretch(start.timeline, start.stored);
    if (stretch != nullptr && stretch->from <= start.from && start.stored > start.from) {
        PN_TRY(block.known_, store.read(*stretch, start.from, start.stored));
    }
    return block;
}

Status WalBlock::compare(std::string_view bytes) const {
    if (bytes_.size() >= known_.size()) return {};
    auto known = std::string_view(known_).substr(bytes_.size(), bytes.size());
    if (known == bytes.substr(0, known.size())) return {};
    return fail(
        {.kind = ErrorKind::refused,
         .code = "diverged",
         .message =
             fmt::format("the server's log behind {} of timeline {} is not what is stored of it: it is a copy that "
                         "went its own way",
                         begin_.text(), timeline_),
         .where = store_.catalog().url(store_.layout().segment_folder(timeline_, begin_)),
         .hint = "point the connection at the server whose log this is, or give this one's backups a `store: path:` "
                 "of their own"});
}

Status WalBlock::add(std::string_view bytes) {
    while (!bytes.empty()) {
        auto room = store_.layout().block_start(begin_) + store_.layout().block_bytes() - received();
        auto piece = bytes.substr(0, room);
        bytes.remove_prefix(piece.size());
        PN_CHECK(compare(piece));
        bool nothing_before = !pending();
        bytes_ += piece;
        if (nothing_before && pending()) pending_since_ = std::chrono::steady_clock::now();
        if (piece.size() == room) PN_CHECK(close());
    }
    return {};
}

Status WalBlock::put(const WalPiece& piece) {
    failed_ = true;
    PN_FAILPOINT(wal_piece_before);
    PN_TRY(auto size, store_.put(piece, std::string_view(bytes_).substr(piece.from - begin_, piece.to - piece.from)));
    PN_FAILPOINT(wal_piece_after);
    failed_ = false;
    stored_ = piece.to;
    stored_bytes_ += size;
    ++objects_;
    return {};
}

Status WalBlock::flush() {
    if (!pending()) return {};
    WalPiece piece{.timeline = timeline_, .from = stored_, .to = received()};
    PN_CHECK(put(piece));
    pieces_.push_back(piece);
    return {};
}

/// The block is full: one object for it instead of its pieces. Where the block began in its middle it has no other.
Status WalBlock::close() {
    WalPiece whole{.timeline = timeline_, .from = begin_, .to = received()};
    if (!store_.layout().whole(whole)) {
        PN_CHECK(flush());
    } else if (std::ranges::find(pieces_, whole, [](WalPiece p) { return p.stored_bytes = 0, p; }) == pieces_.end()) {
        PN_CHECK(put(whole));
        for (const auto& piece : pieces_) {
            PN_FAILPOINT(wal_merge_during);
            PN_CHECK(store_.remove(piece));
        }
    }
    begin_ = received();
    stored_ = std::max(stored_, begin_);
    bytes_.clear();
    known_.clear();
    pieces_.clear();
    return {};
}

}  // namespace penstock::backup
