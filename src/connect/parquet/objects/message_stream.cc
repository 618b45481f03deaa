#include "connect/parquet/objects/message_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

namespace penstock::parquet {
namespace {

/// A call brings about so much, so that whoever divides it into tables sees the clock.
constexpr uint64_t call_bytes = uint64_t{4} << 20;
constexpr auto idle = std::chrono::milliseconds(50);

Error cannot_go_on(const std::string& name) {
    return {.kind = ErrorKind::refused,
            .code = "object_changed",
            .message = fmt::format("{} was taken in part, and now it is {}", name, "gone or another object"),
            .hint = "put it back as it was; or run with --full-refresh, which reads all objects again"};
}

}  // namespace

ObjectStream::ObjectStream(std::shared_ptr<io::ObjectStore> store, SourceOptions options, bool in_folder, bool follow)
    : options_(std::move(options)),
      follow_(follow),
      selection_(std::move(store), options_, in_folder),
      taken_(static_cast<size_t>(options_.remember)) {}

Result<int64_t> ObjectStream::connect(std::stop_token stop) {
    stop_ = std::move(stop);
    PN_TRY(listed_, selection_.list(stop_));
    looked_ = Clock::now();
    return -1;
}

Status ObjectStream::begin(const std::optional<std::string>& position) {
    auto most = static_cast<size_t>(options_.remember);
    taken_ = Taken(most);
    records_.reset();
    next_ = 0, done_ = 0;
    if (!position) {
        PN_TRY(waiting_, selection_.fresh(listed_, taken_));
        return {};
    }
    auto json = nlohmann::json::parse(*position, nullptr, false);
    PN_TRY(taken_, Taken::parse(*position, most));
    PN_TRY(waiting_, selection_.fresh(listed_, taken_));
    if (!json.contains("object")) return {};
    const auto& part = json["object"];
    auto name = part.value("name", std::string());
    auto found = std::ranges::find(waiting_, name, &io::ObjectInfo::name);
    bool same = found != waiting_.end() && found->size == part.value("bytes", uint64_t{0}) &&
                found->modified.time_since_epoch().count() == part.value("modified", int64_t{0});
    if (!same) return fail(cannot_go_on(selection_.store().url(name)));
    std::rotate(waiting_.begin(), found, found + 1);
    PN_CHECK(open());
    return skip(part.value("records", int64_t{0}));
}

Status ObjectStream::open() {
    const auto& object = waiting_[next_];
    PN_TRY(auto content, Content::open(selection_.store(), object.name));
    size_t most = options_.max_bytes.count;
    records_ = options_.objects() == ObjectFormat::json ? element_records(std::move(content), most)
                                                        : line_records(std::move(content), most);
    done_ = 0;
    return {};
}

Status ObjectStream::skip(int64_t records) {
    Record record;
    for (; done_ < records; ++done_) {
        PN_TRY(bool more, records_->next(record));
        if (!more) return fail(cannot_go_on(selection_.store().url(waiting_[next_].name)));
    }
    return {};
}

Status ObjectStream::end_object() {
    PN_CHECK(selection_.unchanged(waiting_[next_]));
    taken_.add(waiting_[next_++]);
    records_.reset();
    done_ = 0;
    return {};
}

Status ObjectStream::look_again() {
    if (Clock::now() - looked_ < options_.poll) {
        std::this_thread::sleep_for(idle);
        return {};
    }
    PN_TRY(listed_, selection_.list(stop_));
    looked_ = Clock::now();
    next_ = 0;
    PN_TRY(waiting_, selection_.fresh(listed_, taken_));
    return {};
}

Status ObjectStream::receive(flow::MessageBatch& batch, uint64_t most_bytes) {
    if (drained()) return follow_ ? look_again() : Status();
    uint64_t full = batch.bytes() + std::min(most_bytes, call_bytes);
    auto received = now().time_since_epoch().count();
    while (!drained() && batch.bytes() < full && !stop_.stop_requested()) {
        if (records_ == nullptr) PN_CHECK(open());
        Record record;
        PN_TRY(bool more, records_->next(record));
        if (!more) {
            PN_CHECK(end_object());
            continue;
        }
        ++done_;
        const auto& object = waiting_[next_];
        batch.messages.push_back({.payload = batch.texts.keep(record.text),
                                  .position = batch.texts.keep(fmt::format("{}:{}", object.name, record.number)),
                                  .sent_micros = object.modified.time_since_epoch().count(),
                                  .received_micros = received});
    }
    return {};
}

std::string ObjectStream::position() {
    auto json = nlohmann::ordered_json::parse(taken_.to_json());
    if (records_ != nullptr) {
        const auto& object = waiting_[next_];
        json["object"] = {{"name", object.name},
                          {"bytes", object.size},
                          {"modified", object.modified.time_since_epoch().count()},
                          {"records", done_}};
    }
    return json.dump();
}

}  // namespace penstock::parquet
