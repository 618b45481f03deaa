#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transform/debezium/envelope.h"

namespace penstock::debezium {

/// What a row of a change part says beside its columns.
struct ChangeRow {
    char op = 0;
    std::string_view position;
    int64_t committed_at = 0;  ///< microseconds since 1970
    std::string_view unchanged;
    std::optional<int64_t> transaction;
};

/// A position's two halves: sixteen hex digits of the commit, a slash, sixteen of the ordinal.
struct Position {
    uint64_t commit = 0;
    uint64_t ordinal = 0;
};
Position parse_position(std::string_view text);

inline int64_t floor_millis(int64_t micros) { return micros / 1'000 - (micros % 1'000 < 0 ? 1 : 0); }

/// The `source` and `transaction` blocks of a table's events.
class SourceBlock {
  public:
    SourceBlock(const flow::TableInfo& info, const EnvelopeOptions& options);

    /// ,"source":{…},"transaction":…
    void append(const ChangeRow& row, std::string& text);

  private:
    void append_transaction(const ChangeRow& row, const Position& at, std::string& text);

    bool transactions_;
    std::string begin_, stream_, snapshot_, table_;
    uint64_t commit_ = 0;         ///< of the row before
    int64_t order_in_table_ = 0;  ///< of the row before, within its transaction
};

}  // namespace penstock::debezium
