#pragma once

#include <array>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connect/postgres/replication/json_cursor.h"
#include "connect/postgres/replication/wal2json.h"

namespace penstock::postgres {

/// Reads wal2json's change objects, one after the other, from a message that Wal2jsonDecoder walks through. Whatever is
/// wrong fails `from`; the first reason stays.
class Wal2jsonReader {
  public:
    void start(std::string_view message) {
        from = JsonCursor(message);
        why_.clear();
    }
    /// Lets go of what the change before was made of.
    void forget() { texts_.release(); }

    void read_change(Wal2jsonChange& change);
    /// Of format 1, where `change` comes with what the transaction says about all its changes.
    void read_change_of_transaction(Wal2jsonChange& change);
    /// Reads a member that both formats have, or leaves it.
    bool read_common(std::string_view key, Wal2jsonChange& change);

    void wrong(std::string what);
    const std::string& why() const { return why_; }

    JsonCursor from{std::string_view()};

  private:
    /// The columns of one row.
    struct Columns {
        std::vector<Wal2jsonColumn> list;
        bool given = false;

        void clear() {
            list.clear();
            given = false;
        }
    };

    /// How long format 1's lists of a row's names, types and values are.
    struct Lists {
        size_t names = 0;
        std::optional<size_t> types, oids, values;

        bool agree(const Columns& columns, bool with_values) const;
    };

    void complete(Wal2jsonChange& change);
    void read_columns(Columns& into, bool with_values);
    void read_lists(std::string_view prefix, Columns& into, bool with_values);
    bool read_list(std::string_view name, Columns& into, Lists& lists);
    void put_back_prefix(Columns& columns);
    void read_value(Wal2jsonColumn& into);
    bool read_truth();
    std::string_view read_type();
    std::string_view read_text() { return text_of(from.string()); }
    template <class T>
    T read_number(std::string_view what);
    std::string_view text_of(std::string_view string);

    std::string why_;
    Columns columns_, identity_, primary_key_;
    std::array<char, 4096> first_texts_;
    /// Texts that had escapes.
    std::pmr::monotonic_buffer_resource texts_{first_texts_.data(), first_texts_.size()};
};

}  // namespace penstock::postgres
