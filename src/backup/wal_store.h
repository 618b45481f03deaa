#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "backup/catalog.h"
#include "backup/wal_index.h"
#include "base/error.h"

namespace penstock::backup {

/// The log of a server, in the place of its backups:
///
///     wal/log.json                                                    whose it is, and the key of the pieces; put first
///     wal/00000002.history                                            where timeline 2 came from; put before its pieces
///     wal/00000001/000000010000000000000003/begin                     a stretch of log begins with this segment
///     wal/00000001/000000010000000000000003/00000000-00A40000         some of the segment
///     wal/00000001/000000010000000000000003/00000000-01000000         all of it: then the pieces are removed
///
/// Each object is compressed, and sealed under its name, so pieces cannot be swapped. What is there is never changed: the same
/// bytes of the same timeline are always the same. Any thread.
class WalStore {
  public:
    /// Nothing where the place has no log.
    static Result<std::optional<WalStore>> open(const Catalog& catalog);
    /// Whose log it will be. Where two make one at once, the one that is there counts.
    static Result<WalStore> create(const Catalog& catalog, const std::string& system_identifier,
                                   uint64_t segment_bytes);

    const std::string& system_identifier() const { return system_identifier_; }
    const WalLayout& layout() const { return layout_; }
    const Catalog& catalog() const { return catalog_; }
    std::string url(const WalPiece& piece) const { return catalog_.url(layout_.piece_name(piece)); }

    Result<WalIndex> index() const;
    /// Of one segment.
    Result<WalIndex> index_segment(uint32_t timeline, Lsn at) const;

    /// The object's size.
    Result<uint64_t> put(const WalPiece& piece, std::string_view raw) const;
    Status put_beginning(uint32_t timeline, Lsn at) const;
    Status put_history(uint32_t timeline, std::string_view content) const;

    /// Codes `no_such_object` and `backup_damaged`.
    Result<std::string> get(const WalPiece& piece) const;
    Result<std::string> get_history(uint32_t timeline) const;
    Status check_beginning(uint32_t timeline, Lsn at) const;

    Status remove(const WalPiece& piece) const;
    Status remove_beginning(uint32_t timeline, Lsn at) const;

    /// Bytes [from, to) of a stretch that has them.
    Result<std::string> read(const WalStretch& stretch, Lsn from, Lsn to) const;

  private:
    WalStore(const Catalog& catalog, std::string system_identifier, uint64_t segment_bytes, Key key)
        : catalog_(catalog),
          system_identifier_(std::move(system_identifier)),
          layout_{.segment_bytes = segment_bytes},
          key_(std::move(key)) {}

    Result<WalIndex> index_below(const std::string& folder) const;
    Result<uint64_t> put_sealed(const std::string& name, std::string_view raw) const;
    Result<std::string> get_sealed(const std::string& name) const;

    Catalog catalog_;
    std::string system_identifier_;
    WalLayout layout_;
    Key key_;
};

/// Whether anything of a log lies there, even where WalStore::open() finds none.
Result<bool> has_wal(const Catalog& catalog);

}  // namespace penstock::backup
