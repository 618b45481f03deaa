#include "flow/arrow_scan.h"

#include <arrow/api.h>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <thread>

#include "data/arrow.h"

namespace penstock::flow {
namespace {

std::shared_ptr<arrow::RecordBatch> batch_of(int64_t first, int64_t rows) {
    arrow::Int64Builder ids;
    arrow::StringBuilder texts;
    for (int64_t id = first; id < first + rows; ++id) {
        REQUIRE(ids.Append(id).ok());
        REQUIRE(texts.Append(fmt::format("the text of row {}", id)).ok());
    }
    auto schema = arrow::schema({arrow::field("id", arrow::int64()), arrow::field("text", arrow::utf8())});
    return arrow::RecordBatch::Make(schema, rows, {ids.Finish().ValueOrDie(), texts.Finish().ValueOrDie()});
}

struct Fixture {
    std::vector<int64_t> sizes = {0, 1, 5'000, 0, 2'048, 2'049, 3};
    Progress progress;
    RejectLog rejects{RejectPolicy{}};
    std::stop_source stop;
    size_t given = 0;
    int64_t rows = 0;

    ArrowBatches batches() {
        return {.next = [this]() -> Result<std::shared_ptr<arrow::RecordBatch>> {
                    if (given == sizes.size()) return nullptr;
                    auto batch = batch_of(rows, sizes[given]);
                    rows += sizes[given++];
                    return batch;
                },
                .finish = []() -> Result<Checkpoint> { return Checkpoint{.position = "9"}; }};
    }
    ScanContext context() { return {progress, rejects, stop.get_token()}; }
};

}  // namespace

TEST_CASE("a scan of batches, read as batches, has the same rows") {
    Fixture f;
    auto schema = data::from_arrow(*batch_of(0, 1)->schema());
    REQUIRE(schema);
    ArrowScan scan(*schema, f.batches(), 4, f.context());
    std::atomic<int64_t> seen = 0, sum = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&] {
                auto reader = ArrowReader::open(scan);
                REQUIRE(reader);
                for (auto batch = reader->next(); batch && *batch != nullptr; batch = reader->next()) {
                    CHECK((*batch)->num_rows() <= 2'048);
                    const auto& ids = static_cast<const arrow::Int64Array&>(*(*batch)->column(0));
                    const auto& texts = static_cast<const arrow::StringArray&>(*(*batch)->column(1));
                    for (int64_t row = 0; row < ids.length(); ++row) {
                        seen += 1, sum += ids.Value(row);
                        if (texts.GetView(row) != fmt::format("the text of row {}", ids.Value(row))) FAIL("wrong text");
                    }
                }
            });
    }
    CHECK(seen == f.rows);
    CHECK(sum == f.rows * (f.rows - 1) / 2);
    CHECK(f.progress.rows_read == f.rows);
    CHECK(f.progress.bytes_read > 0);
    auto checkpoint = scan.finish();
    REQUIRE(checkpoint);
    CHECK(checkpoint->position == "9");
}

TEST_CASE("a batch of another shape is refused, and a stop is heard") {
    Fixture f;
    f.sizes = {5};
    data::Schema other{{{.name = "id", .type = data::scalar(data::Kind::text)}}};
    ArrowScan scan(other, f.batches(), 1, f.context());
    auto reader = scan.reader();
    REQUIRE(reader);
    data::Block block(other);
    auto status = (*reader)->fill(block);
    REQUIRE_FALSE(status);
    CHECK(status.error().code == "arrow_shape");
    f.stop.request_stop();
    status = (*reader)->fill(block);
    REQUIRE_FALSE(status);
    CHECK(status.error().kind == ErrorKind::interrupted);
}

}  // namespace penstock::flow
