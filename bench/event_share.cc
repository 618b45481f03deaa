// Penstock's own share of a stream of events, on one core: messages of a file of lines that is in memory, through routes,
// schemas and all checks into the memory a sink lends, with nobody taking the rows; and beside it the limit.
//
//     event_share limit EVENTS.ndjson              simdjson parses each line into its document, and no more
//     event_share nothing EVENTS.ndjson DDL        parse, validate, route
//     event_share archive EVENTS.ndjson DDL DIR    the same, and each message into the raw archive
//
// DDL is the folder with order_events.sql, inventory_events.sql and user_activity_events.sql. Prints messages, rows, rejects, bytes,
// wall and CPU seconds of this process without reading the file.

#include <fmt/format.h>
#include <simdjson.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "io/object_store.h"
#include "pulling.h"
#include "transform/events/source.h"

namespace {

using namespace penstock;

constexpr uint64_t memory = uint64_t{128} << 20;  // a source's share of the default budget

std::string content_of(const char* file) {
    std::ifstream stream(file, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(stream), {}};
    text.reserve(text.size() + simdjson::SIMDJSON_PADDING);
    return text;
}

/// The file's lines as messages of one partition.
class Lines : public flow::MessageStream {
  public:
    explicit Lines(std::string_view text) : text_(text) {}

    Result<int64_t> connect(std::stop_token) override { return -1; }
    Status begin(const std::optional<std::string>&) override { return {}; }
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override {
        uint64_t full = batch.bytes() + std::min<uint64_t>(most_bytes, uint64_t{4} << 20);
        int64_t micros = now().time_since_epoch().count();
        while (!drained() && batch.bytes() < full) {
            size_t end = std::min(text_.find('\n', at_), text_.size());
            batch.messages.push_back({.payload = batch.texts.keep(text_.substr(at_, end - at_)),
                                      .position = batch.texts.keep(fmt::format("events/0/{}", count_++)),
                                      .sent_micros = micros,
                                      .received_micros = micros});
            at_ = end + 1;
        }
        return {};
    }
    bool drained() const override { return at_ >= text_.size(); }
    std::string position() override { return std::to_string(count_); }
    Status confirm(const std::string&) override { return {}; }

  private:
    std::string_view text_;
    size_t at_ = 0;
    int64_t count_ = 0;
};

events::EventOptions options_of(const std::string& ddl, const char* archive) {
    events::EventOptions options{.pipeline = "bench", .route = {}, .memory_bytes = memory};
    options.route.by.value = "event_type";
    for (const char* name : {"order", "inventory", "user_activity"}) {
        config::RouteTo to{.name = name, .place = {}, .schema = {}, .table = {}};
        to.schema.value = fmt::format("{}/{}_events.sql", ddl, name);
        to.table.value = fmt::format("backend_events_data.{}_events", name);
        options.route.to.push_back(std::move(to));
    }
    if (archive == nullptr) return options;
    options.archive.emplace();
    options.open_archive = [archive] { return io::ObjectStore::open({.url = fmt::format("file://{}", archive)}); };
    return options;
}

struct Counts {
    int64_t messages = 0, rows = 0, rejects = 0, bytes = 0;
};

Result<Counts> limit(std::string_view text) {
    Counts counts;
    simdjson::dom::parser parser;
    for (size_t at = 0; at < text.size();) {
        size_t end = std::min(text.find('\n', at), text.size());
        auto document = parser.parse(text.data() + at, end - at, false);
        counts.rows += document.error() == simdjson::SUCCESS;
        ++counts.messages;
        at = end + 1;
    }
    counts.rejects = counts.messages - counts.rows;
    counts.bytes = static_cast<int64_t>(text.size());
    return counts;
}

Result<Counts> through(std::string_view text, const std::string& ddl, const char* archive) {
    events::EventSource source(options_of(ddl, archive), std::make_unique<Lines>(text));
    PN_TRY(auto infos, source.discover({}));
    flow::Progress progress;
    flow::RejectLog rejects({.stop = false});
    std::vector<flow::TableRead> reads;
    for (size_t i = 0; i < infos.size(); ++i)
        reads.push_back({.table = i, .from = {}, .context = {progress, rejects, {}}});
    PN_CHECK(source.resume({}));
    PN_CHECK(source.open(std::move(reads)));
    while (true) {
        PN_TRY(auto segment, source.next());
        if (!segment) break;
        for (auto& part : segment->parts) PN_CHECK(bench::pull(*part.scan, 1));
        rejects.settle(rejects.size());
        PN_CHECK(source.confirm_stream(*segment->stream));
    }
    Counts counts{.messages = progress.rows_read, .rejects = progress.rows_rejected, .bytes = progress.bytes_read};
    counts.rows = counts.messages - counts.rejects;
    return counts;
}

Status run(std::string_view what, int count, char** arguments) {
    auto text = content_of(arguments[2]);
    double before = bench::cpu_seconds();
    auto start = std::chrono::steady_clock::now();
    bool archives = what == "archive" && count > 4;
    PN_TRY(auto counts, what == "limit" ? limit(text) : through(text, arguments[3], archives ? arguments[4] : nullptr));
    std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    fmt::print("{} messages, {} rows, {} rejects, {} bytes: {:.3f} s wall, {:.3f} s CPU\n", counts.messages,
               counts.rows, counts.rejects, counts.bytes, wall.count(), bench::cpu_seconds() - before);
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    std::string_view what = count > 1 ? arguments[1] : "";
    int least = what == "limit" ? 3 : what == "nothing" ? 4 : what == "archive" ? 5 : count + 1;
    if (count < least) {
        fmt::print(stderr, "usage: event_share limit EVENTS | nothing EVENTS DDL | archive EVENTS DDL DIR\n");
        return 2;
    }
    auto status = run(what, count, arguments);
    if (!status) fmt::print(stderr, "{}\n", status.error().text());
    return status ? 0 : 1;
}
