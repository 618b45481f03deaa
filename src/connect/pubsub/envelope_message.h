#pragma once

#include <string>
#include <string_view>

#include "connect/pubsub/options.h"
#include "connect/pubsub/publisher.h"
#include "flow/source.h"
#include "transform/debezium/envelope.h"

namespace penstock::pubsub {

/// Pub/Sub's page "Quotas and limits".
inline constexpr size_t most_key_bytes = 1024;
inline constexpr size_t most_attribute_bytes = 1024;

/// The changes of one table as messages. `data` is the envelope; attributes:
///
///     table         public.orders
///     op            c u d r t
///     position      of the change in the source: sorts, and grows with every change of a table
///     penstock_id   names the change: the same whenever it is published again
///     old_key, new_key   JSON: the row came from, or goes to, another key
///     unavailable   JSON list of columns whose values the source did not send
///
/// The last three are absent where they do not apply, or do not fit into an attribute.
class MessageMaker {
  public:
    MessageMaker(const flow::TableInfo& info, Ordering ordering, std::string server, std::string run_id);

    /// `row_json` only has to be there for a row of a snapshot of a table without key; `key_json` where the table has one.
    Message make(const debezium::Message& envelope, std::string_view key_json);

    /// Of the change: "shop.public.orders/<position>". Rows of a snapshot share a position: the key's hash tells them apart, or
    /// where there is no key a number, which is not the same in another run.
    std::string id_of(const debezium::Message& envelope, std::string_view key_json);

  private:
    std::string ordering_key(std::string_view key_json) const;

    std::string table_;
    std::string server_;
    std::string run_id_;
    bool keyed_;
    Ordering ordering_;
    int64_t unkeyed_ = 0;
};

}  // namespace penstock::pubsub
