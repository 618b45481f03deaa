#include "transform/debezium/source_block.h"

#include <fmt/format.h>

#include "transform/debezium/json_text.h"

namespace penstock::debezium {

Position parse_position(std::string_view text) {
    Position out;
    std::from_chars(text.data(), text.data() + 16, out.commit, 16);
    std::from_chars(text.data() + 17, text.data() + text.size(), out.ordinal, 16);
    return out;
}

SourceBlock::SourceBlock(const flow::TableInfo& info, const EnvelopeOptions& options)
    : transactions_(options.transactions) {
    auto parts = parts_of(info);
    begin_ = fmt::format(R"(,"source":{{"version":{},"connector":{},"name":{},"ts_ms":)", json_string(options.version),
                         json_string(options.connector), json_string(options.server));
    std::string db = json_string(info.database);
    stream_ = R"(,"snapshot":"false","db":)" + db + R"(,"sequence":"[\")";
    snapshot_ = R"(,"snapshot":"true","db":)" + db + R"(,"sequence":"[\")";
    table_ = R"(,"schema":)" + json_string(parts.schema) + R"(,"table":)" + json_string(parts.table) + R"(,"txId":)";
}

/// `sequence` orders changes as our positions do: the commit, then the ordinal within it.
void SourceBlock::append(const ChangeRow& row, std::string& text) {
    Position at = parse_position(row.position);
    text += begin_;
    append_integer(floor_millis(row.committed_at), text);
    text += row.op == 'r' ? snapshot_ : stream_;
    append_integer(at.commit, text);
    text += R"(\",\")";
    append_integer(at.ordinal, text);
    text += R"(\"]","ts_us":)";
    append_integer(row.committed_at, text);
    text += R"(,"ts_ns":)";
    append_integer(row.committed_at, text);
    text += "000";
    text += table_;
    if (row.transaction) append_integer(*row.transaction, text);
    else text += "null";
    text += R"(,"lsn":)";
    append_integer(at.commit, text);
    text += R"(,"xmin":null,"origin":null,"origin_lsn":null},"transaction":)";
    append_transaction(row, at, text);
}

void SourceBlock::append_transaction(const ChangeRow& row, const Position& at, std::string& text) {
    if (!transactions_ || !row.transaction || row.op == 'r') {
        text += "null";
        return;
    }
    if (at.commit != commit_) order_in_table_ = 0;
    commit_ = at.commit;
    text += R"({"id":")";
    append_integer(*row.transaction, text);
    text += ':';
    append_integer(at.commit, text);
    text += R"(","total_order":)";
    append_integer(at.ordinal / 2 + 1, text);
    text += R"(,"data_collection_order":)";
    append_integer(++order_in_table_, text);
    text += '}';
}

}  // namespace penstock::debezium
