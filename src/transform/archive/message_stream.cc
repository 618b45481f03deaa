#include "transform/archive/message_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/object_store.h"

namespace penstock::archive {

using Json = nlohmann::ordered_json;

ArchiveStream::ArchiveStream(std::shared_ptr<io::ObjectStore> store, std::string pipeline, ArchiveOptions options,
                             ReplayRange range)
    : store_(std::move(store)), reader_(*store_, std::move(pipeline), std::move(options)), range_(std::move(range)) {}

ArchiveStream::~ArchiveStream() = default;

Result<int64_t> ArchiveStream::connect(std::stop_token stop) {
    stop_ = std::move(stop);
    PN_TRY(objects_, reader_.objects(range_.from, range_.to, range_.routes));
    int64_t messages = 0;
    for (const auto& object : objects_) messages += object.messages;
    return messages;
}

Status ArchiveStream::begin(const std::optional<std::string>& position) {
    object_ = 0;
    messages_ = 0;
    reading_.reset();
    if (!position) return {};
    auto json = Json::parse(*position, nullptr, false);
    auto name = json.is_object() ? json.value("object", Json()) : Json();
    auto messages = json.is_object() ? json.value("messages", Json()) : Json();
    auto found =
        name.is_string() ? std::ranges::find(objects_, name.get<std::string>(), &ArchivedObject::name) : objects_.end();
    if (found == objects_.end() || !messages.is_number_integer())
        return fail({.kind = ErrorKind::data,
                     .code = "archive_position",
                     .message = fmt::format("\"{}\" is no position in this range of the archive", *position),
                     .hint = "begin the replay anew: rows that are there already are left out"});
    object_ = static_cast<size_t>(found - objects_.begin());
    int64_t done = messages.get<int64_t>();
    if (done == 0) return {};
    PN_CHECK(open());
    for (; messages_ < done; ++messages_) {
        PN_TRY(auto passed, reading_->next());
        if (!passed) break;
    }
    return {};
}

Status ArchiveStream::open() {
    const auto& object = objects_[object_];
    PN_CHECK(reader_.verify(object));
    PN_TRY(reading_, reader_.open(object));
    return {};
}

Status ArchiveStream::receive(flow::MessageBatch& batch, uint64_t most_bytes) {
    uint64_t full = batch.bytes() + most_bytes;
    while (!drained() && batch.bytes() < full && !stop_.stop_requested()) {
        if (reading_ == nullptr) PN_CHECK(open());
        PN_TRY(auto one, reading_->next());
        if (!one) {
            reading_.reset();
            ++object_;
            messages_ = 0;
            continue;
        }
        ++messages_;
        if (one->time < range_.from || one->time >= range_.to) continue;
        if (range_.without.contains(one->message.position)) continue;
        auto message = one->message;
        message.payload = batch.texts.keep(message.payload);
        message.key = batch.texts.keep(message.key);
        message.attributes = batch.texts.keep(message.attributes);
        message.position = batch.texts.keep(message.position);
        batch.messages.push_back(message);
    }
    return {};
}

bool ArchiveStream::drained() const { return object_ >= objects_.size(); }

std::string ArchiveStream::position() {
    bool ended = drained();
    if (ended && objects_.empty()) return Json{{"object", ""}, {"messages", 0}}.dump();
    const auto& object = objects_[ended ? objects_.size() - 1 : object_];
    return Json{{"object", object.name}, {"messages", ended ? object.messages : messages_}}.dump();
}

}  // namespace penstock::archive
