#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "base/digest.h"
#include "io/object_store.h"
#include "transform/archive/archive.h"
#include "transform/archive/index.h"
#include "transform/archive/packing.h"
#include "transform/archive/path.h"

namespace penstock::archive {
namespace {

constexpr uint64_t read_bytes = uint64_t{4} << 20;
constexpr size_t unpack_bytes = size_t{1} << 20;
/// More than any bus takes, and than an index's line can need.
constexpr uint64_t most_message = uint64_t{256} << 20;
constexpr uint64_t most_line = uint64_t{64} << 20;

/// An object's bytes in order, unpacked as they are asked for.
class Content {
  public:
    Content(io::ObjectStore& store, std::string name, Unpacker unpacker)
        : store_(store), name_(std::move(name)), unpacker_(std::move(unpacker)) {}

    static Result<Content> open(io::ObjectStore& store, const std::string& name, ArchiveCompression how) {
        PN_TRY(auto unpacker, Unpacker::make(how));
        return Content(store, name, std::move(unpacker));
    }

    /// Exactly so many bytes, or nothing where there are fewer left. Until the next call.
    Result<std::optional<std::string_view>> take(uint64_t size) {
        let_go();
        while (at_hand().size() < size) {
            PN_TRY(bool more, read());
            if (!more) return std::optional<std::string_view>();
        }
        taken_ = size;
        return std::optional(at_hand().substr(0, size));
    }

    /// Up to the next '\n', which is left out; nothing at the end.
    Result<std::optional<std::string_view>> line() {
        let_go();
        size_t from = 0;
        for (;;) {
            auto end = at_hand().find('\n', from);
            if (end != text_.npos) {
                taken_ = end + 1;
                return std::optional(at_hand().substr(0, end));
            }
            from = at_hand().size();
            if (from > most_line) return fail(damaged(store_.url(name_), "the index has a line longer than 64 MiB"));
            PN_TRY(bool more, read());
            if (!more && from > 0) return fail(damaged(store_.url(name_), "the index ends within a line"));
            if (!more) return std::optional<std::string_view>();
        }
    }

    /// What comes next, as much as there is at hand; empty at the end.
    Result<std::string_view> some() {
        let_go();
        while (at_hand().empty()) {
            PN_TRY(bool more, read());
            if (!more) return std::string_view();
        }
        taken_ = at_hand().size();
        return at_hand();
    }

  private:
    std::string_view at_hand() const { return std::string_view(text_).substr(begin_); }

    /// Moved to the front only once half of it is behind: a text of many short parts is not copied for each.
    void let_go() {
        begin_ += std::exchange(taken_, 0);
        if (begin_ < text_.size() / 2) return;
        text_.erase(0, begin_);
        begin_ = 0;
    }

    /// False at the end of the object.
    Result<bool> read() {
        for (;;) {
            size_t before = text_.size();
            auto used = unpacker_.add(std::string_view(packed_).substr(used_), text_, unpack_bytes);
            if (!used) return fail(damaged(store_.url(name_), used.error()));
            used_ += *used;
            if (text_.size() > before) return true;
            if (used_ < packed_.size() && *used > 0) continue;
            if (reader_ == nullptr) {
                PN_TRY(reader_, store_.read(name_));
            }
            PN_TRY(packed_, reader_->read(read_bytes));
            used_ = 0;
            if (!packed_.empty()) continue;
            if (!unpacker_.whole()) return fail(damaged(store_.url(name_), "it ends too early"));
            return false;
        }
    }

    io::ObjectStore& store_;
    std::string name_;
    Unpacker unpacker_;
    std::string packed_;
    size_t used_ = 0;
    std::unique_ptr<io::ObjectReader> reader_;
    std::string text_;
    size_t begin_ = 0;
    size_t taken_ = 0;
};

class Messages : public ArchiveMessages {
  public:
    Messages(std::string url, ArchivedObject object, Content content, Content index)
        : url_(std::move(url)), object_(std::move(object)), content_(std::move(content)), index_(std::move(index)) {}

    Result<std::optional<ReadMessage>> next() override {
        if (!header_read_) {
            PN_CHECK(index_.line());
            header_read_ = true;
        }
        PN_TRY(auto line, index_.line());
        if (!line) return at_end();
        auto entry = read_entry(*line);
        if (!entry || entry->length > std::min(most_message, object_.bytes))
            return fail(damaged(url_, fmt::format("line {} of the index is none of ours", count_ + 2)));
        entry_ = std::move(*entry);
        PN_TRY(auto payload, content_.take(entry_.length + 1));
        if (!payload || payload->back() != '\n')
            return fail(damaged(url_, fmt::format("message {} does not end where the index says", count_ + 1)));
        ++count_;
        return std::optional(ReadMessage{.message = {.payload = payload->substr(0, entry_.length),
                                                     .key = entry_.key,
                                                     .attributes = entry_.attributes,
                                                     .position = entry_.position,
                                                     .sent_micros = entry_.sent_micros,
                                                     .received_micros = entry_.received_micros},
                                         .time = entry_.time});
    }

  private:
    Result<std::optional<ReadMessage>> at_end() {
        PN_TRY(auto rest, content_.some());
        if (!rest.empty() || count_ != object_.messages)
            return fail(damaged(url_, fmt::format("there are {} messages in the index, its header counts {}{}", count_,
                                                  object_.messages, rest.empty() ? "" : ", and bytes are left over")));
        return std::optional<ReadMessage>();
    }

    std::string url_;
    ArchivedObject object_;
    Content content_;
    Content index_;
    IndexEntry entry_;
    bool header_read_ = false;
    int64_t count_ = 0;
};

}  // namespace

ArchiveReader::ArchiveReader(io::ObjectStore& store, std::string pipeline, ArchiveOptions options)
    : store_(store), pipeline_(std::move(pipeline)), options_(std::move(options)) {}

Result<std::vector<ArchivedObject>> ArchiveReader::objects(TimePoint from, TimePoint to,
                                                           const std::vector<std::string>& routes) {
    std::vector<ArchivedObject> found;
    std::string last;
    for (const auto& folder : folders_of(options_, pipeline_, routes, from, to)) {
        PN_TRY(auto listed, store_.list(folder));
        for (const auto& [name, size, modified] : listed) {
            if (!name.ends_with(index_suffix) || name.starts_with("_penstock/")) continue;
            auto object = name.substr(0, name.size() - index_suffix.size());
            PN_TRY(auto there, store_.info(object));
            if (!there) continue;  // its writer was killed
            PN_TRY(auto header, load_header(store_, object));
            if (!header || header->pipeline != pipeline_) continue;
            auto& one = header->object;
            bool wanted = routes.empty() || std::ranges::find(routes, one.route) != routes.end();
            if (wanted && one.first_time < to && one.last_time >= from) found.push_back(std::move(one));
        }
    }
    std::ranges::sort(found, [](const auto& a, const auto& b) {
        return std::tie(a.first_time, a.name) < std::tie(b.first_time, b.name);
    });
    auto same = std::ranges::unique(found, {}, &ArchivedObject::name);
    found.erase(same.begin(), same.end());
    return found;
}

Status ArchiveReader::verify(const ArchivedObject& object) {
    PN_TRY(auto content, Content::open(store_, object.name, compression_of(object.name)));
    Sha256 digest;
    uint64_t bytes = 0;
    while (bytes <= object.bytes) {  // whatever it unpacks to
        PN_TRY(auto some, content.some());
        if (some.empty()) break;
        digest.add(some);
        bytes += some.size();
    }
    if (bytes != object.bytes)
        return fail(damaged(
            store_.url(object.name),
            fmt::format("it has {}{} bytes, not {}", bytes, bytes > object.bytes ? " or more" : "", object.bytes)));
    if (digest.hex() != object.sha256) return fail(damaged(store_.url(object.name), "the bytes are not those written"));
    return {};
}

Result<std::unique_ptr<ArchiveMessages>> ArchiveReader::open(const ArchivedObject& object) {
    PN_TRY(auto content, Content::open(store_, object.name, compression_of(object.name)));
    PN_TRY(auto index, Content::open(store_, object.name + std::string(index_suffix), ArchiveCompression::zstd));
    return std::make_unique<Messages>(store_.url(object.name), object, std::move(content), std::move(index));
}

}  // namespace penstock::archive
