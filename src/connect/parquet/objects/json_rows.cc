#include <fmt/format.h>

#include <chrono>

#include "connect/parquet/objects/object_rows.h"
#include "connect/parquet/objects/records.h"
#include "transform/events/document_reader.h"
#include "transform/events/scan.h"

namespace penstock::parquet {
namespace {

class JsonRows : public ObjectRows {
  public:
    JsonRows(const RowsContext& context, std::string object, std::unique_ptr<Records> records)
        : context_(context), object_(std::move(object)), records_(std::move(records)), reader_(context.table) {}

    bool done() const override { return done_; }

    Status fill(data::Block& block) override {
        texts_ = {};
        int64_t refused = 0;
        uint64_t before = records_->bytes_read();
        auto received = now().time_since_epoch().count();
        while (block.rows < data::block_rows && texts_.bytes() < most_block_bytes && refused < most_refused) {
            Record record;
            PN_TRY(bool more, records_->next(record));
            if (!more) {
                done_ = true;
                break;
            }
            flow::Message message{.payload = texts_.keep(record.cut ? record.text.substr(0, shown_bytes) : record.text),
                                  .position = texts_.keep(fmt::format("{}:{}", object_, record.number)),
                                  .received_micros = received};
            events::Refusal refusal;
            if (read(record, message, block, refusal)) continue;
            ++refused;
            PN_CHECK(context_.scan.rejects.add(
                events::reject_of(message, context_.table.info.name, "", std::move(refusal))));
        }
        auto& progress = context_.scan.progress;
        progress.bytes_read += static_cast<int64_t>(records_->bytes_read() - before);
        progress.rows_read += static_cast<int64_t>(block.rows) + refused;
        progress.rows_rejected += refused;
        return {};
    }

  private:
    bool read(const Record& record, const flow::Message& message, data::Block& block, events::Refusal& refusal) {
        if (!record.cut) return reader_.read(message, indexer_.index(message.payload, texts_), block, refusal);
        refusal = {
            .code = "too_large",
            .reason = fmt::format("the row has {} bytes, more than `max_bytes` allows; the payload is its beginning",
                                  record.bytes)};
        return false;
    }

    RowsContext context_;
    std::string object_;
    std::unique_ptr<Records> records_;
    events::DocumentReader reader_;
    events::JsonIndexer indexer_;
    flow::TextStore texts_;
    bool done_ = false;
};

}  // namespace

Result<std::unique_ptr<ObjectRows>> json_rows(const RowsContext& context, const io::ObjectInfo& object) {
    PN_TRY(auto content, Content::open(context.store, object.name));
    size_t most = context.options.max_bytes.count;
    auto records = context.options.objects() == ObjectFormat::json ? element_records(std::move(content), most)
                                                                   : line_records(std::move(content), most);
    return std::make_unique<JsonRows>(context, object.name, std::move(records));
}

}  // namespace penstock::parquet
