#include "connect/parquet/objects/scan.h"

#include <algorithm>

#include "base/failpoint.h"

namespace penstock::parquet {

class ObjectReader : public flow::ScanReader {
  public:
    explicit ObjectReader(ObjectScan& scan) : scan_(scan) {}

    Status fill(data::Block& block) override {
        while (block.rows == 0) {
            if (rows_ == nullptr) {
                object_ = scan_.next_.fetch_add(1);
                if (object_ >= scan_.objects_.size()) return {};
                PN_TRY(rows_, scan_.open(scan_.objects_[object_]));
            }
            if (!rows_->done()) PN_CHECK(rows_->fill(block));
            PN_FAILPOINT(source_read_during);
            if (block.rows > 0 || !rows_->done()) continue;
            rows_.reset();
            PN_CHECK(scan_.selection_.unchanged(scan_.objects_[object_]));
        }
        return {};
    }

  private:
    ObjectScan& scan_;
    size_t object_ = 0;
    std::unique_ptr<ObjectRows> rows_;
};

ObjectScan::ObjectScan(const Selection& selection, RowsContext rows, engine::Database* database,
                       std::vector<io::ObjectInfo> objects, unsigned readers, flow::Checkpoint checkpoint)
    : selection_(selection),
      rows_(rows),
      database_(database),
      objects_(std::move(objects)),
      readers_(readers),
      checkpoint_(std::move(checkpoint)) {}

unsigned ObjectScan::max_readers() const {
    return static_cast<unsigned>(std::clamp<size_t>(objects_.size(), 1, std::max(readers_, 1u)));
}

Result<std::unique_ptr<flow::ScanReader>> ObjectScan::reader() { return std::make_unique<ObjectReader>(*this); }

Result<std::unique_ptr<ObjectRows>> ObjectScan::open(const io::ObjectInfo& object) const {
    switch (rows_.options.objects()) {
        case ObjectFormat::csv: return csv_rows(rows_, object);
        case ObjectFormat::parquet: return parquet_rows(rows_, object, *database_);
        case ObjectFormat::ndjson:
        case ObjectFormat::json: break;
    }
    return json_rows(rows_, object);
}

}  // namespace penstock::parquet
