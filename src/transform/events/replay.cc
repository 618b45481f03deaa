#include "transform/events/replay.h"

#include <fmt/format.h>

#include <utility>

#include "transform/debezium/decode_bytes.h"
#include "transform/events/scan.h"

namespace penstock::events {
namespace {

/// Rejected messages as they came. Attributes are not recorded.
class RejectStream : public flow::MessageStream {
  public:
    explicit RejectStream(const std::vector<flow::RejectRecord>& rejects) : rejects_(rejects) {}

    Result<int64_t> connect(std::stop_token) override { return static_cast<int64_t>(rejects_.size()); }
    Status begin(const std::optional<std::string>&) override {
        next_ = 0;
        return {};
    }
    Status receive(flow::MessageBatch& batch, uint64_t most_bytes) override {
        uint64_t full = batch.bytes() + most_bytes;
        for (; !drained() && batch.bytes() < full; ++next_) {
            const auto& reject = rejects_[next_].reject;
            PN_TRY(auto payload, bytes_of(reject.payload, rejects_[next_]));
            PN_TRY(auto key, bytes_of(reject.key, rejects_[next_]));
            int64_t micros = reject.received_at.time_since_epoch().count();
            batch.messages.push_back({.payload = batch.texts.keep(payload),
                                      .key = batch.texts.keep(key),
                                      .position = batch.texts.keep(reject.source_position),
                                      .sent_micros = micros,
                                      .received_micros = micros});
        }
        return {};
    }
    bool drained() const override { return next_ == rejects_.size(); }
    std::string position() override { return ""; }
    Status confirm(const std::string&) override { return {}; }

  private:
    static Result<std::string> bytes_of(const std::string& recorded, const flow::RejectRecord& record) {
        if (!recorded.starts_with(base64_prefix)) return recorded;
        std::string_view text(recorded);
        text.remove_prefix(base64_prefix.size());
        std::string out(debezium::decoded_size(text, debezium::Binaries::base64), '\0');
        auto size = debezium::decode_bytes(text, debezium::Binaries::base64, out.data());
        if (!size)
            return fail({.kind = ErrorKind::data,
                         .code = "reject_damaged",
                         .message = fmt::format("what reject {} holds behind base64: is none", record.id),
                         .hint = fmt::format("`penstock rejects discard {}` lets it go", record.id)});
        out.resize(*size);
        return out;
    }

    const std::vector<flow::RejectRecord>& rejects_;
    size_t next_ = 0;
};

std::unique_ptr<flow::Source> replay(EventOptions options, std::unique_ptr<flow::MessageStream> stream) {
    options.replays = true;
    options.follow = false;
    return std::make_unique<EventSource>(std::move(options), std::move(stream));
}

}  // namespace

Result<std::unique_ptr<archive::ArchiveStream>> archive_stream(const EventOptions& options,
                                                               archive::ReplayRange range) {
    PN_TRY(auto store, options.open_archive());
    return std::make_unique<archive::ArchiveStream>(std::move(store), options.pipeline, options.archive_options(),
                                                    std::move(range));
}

Result<std::unique_ptr<flow::Source>> replay_archive(EventOptions options, archive::ReplayRange range) {
    PN_TRY(auto stream, archive_stream(options, std::move(range)));
    return replay(std::move(options), std::move(stream));
}

std::unique_ptr<flow::Source> replay_rejects(EventOptions options, const std::vector<flow::RejectRecord>& rejects) {
    options.at_once = true;
    return replay(std::move(options), std::make_unique<RejectStream>(rejects));
}

bool is_message(const flow::Reject& reject) { return !reject.source_position.empty(); }

}  // namespace penstock::events
