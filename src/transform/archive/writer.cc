#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/failpoint.h"
#include "base/ids.h"
#include "io/object_store.h"
#include "transform/archive/archive.h"
#include "transform/archive/index.h"
#include "transform/archive/intent.h"
#include "transform/archive/packing.h"
#include "transform/archive/path.h"

namespace penstock::archive {
namespace {

constexpr int most_tries = 1000;

/// What can be written as a name: outside, the moment of coming is taken.
constexpr TimePoint first_moment{std::chrono::sys_days{std::chrono::year{1} / 1 / 1}};
constexpr TimePoint last_moment{std::chrono::sys_days{std::chrono::year{10000} / 1 / 1}};

constexpr size_t file_piece = size_t{256} << 10;
constexpr size_t entries_piece = size_t{64} << 10;

/// Bytes behind one another, handed on in pieces.
class Pieces {
  public:
    explicit Pieces(Take take) : take_(std::move(take)) { bytes_.reserve(file_piece); }
    Status add(std::string_view bytes) {
        if (bytes_.size() + bytes.size() > file_piece) PN_CHECK(flush());
        if (bytes.size() > file_piece) return take_(bytes);
        bytes_ += bytes;
        return {};
    }
    Status flush() {
        if (bytes_.empty()) return {};
        PN_CHECK(take_(bytes_));
        bytes_.clear();
        return {};
    }

  private:
    Take take_;
    std::string bytes_;
};

/// What the entries of an object's index become: packed piece by piece, each a stream of its own.
class PackedEntries {
  public:
    Status add(const flow::Message& message, std::optional<TimePoint> time) {
        append_entry(entries_, message, time);
        return entries_.size() < entries_piece ? Status() : pack();
    }
    Status pack() {
        if (entries_.empty()) return {};
        PN_TRY(auto packer, Packer::make(ArchiveCompression::zstd, [this](std::string_view part) -> Status {
                   packed_ += part;
                   return {};
               }));
        PN_CHECK(packer.add(entries_));
        PN_CHECK(packer.end());
        entries_.clear();
        return {};
    }
    std::string_view packed() const { return packed_; }

  private:
    std::string entries_;
    std::string packed_;
};

/// An object that grows: what it will hold is where its messages are.
struct Growing {
    ArchivedObject object;
    std::vector<std::string_view> payloads;
    PackedEntries entries;
};

/// Of a route, and the span of time that an object holds.
using Group = std::pair<std::string, TimePoint>;
struct GroupOrder {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
        return a.second != b.second ? a.second < b.second : std::string_view(a.first) < std::string_view(b.first);
    }
};

}  // namespace

struct ArchiveWriter::Parts {
    io::ObjectStore& store;
    std::string pipeline;
    std::string writer;
    ArchiveOptions options;
    std::string intent_file;
    std::chrono::hours span;
    std::map<Group, Growing, GroupOrder> growing;
    Intent intent;      ///< of a publish that has not succeeded
    bool intent_known;  ///< whether the store has one is known
    bool intent_there;  ///< …and it has
    int64_t messages = 0;
    uint64_t bytes = 0;

    Parts(io::ObjectStore& to, std::string of, ArchiveOptions how, std::string who)
        : store(to),
          pipeline(std::move(of)),
          writer(std::move(who)),
          options(std::move(how)),
          intent_file(intent_name(pipeline, writer)),
          span(object_span(options.path)),
          intent_known(false),
          intent_there(false) {}

    Growing& group(std::string_view route, TimePoint time);
    void forget();
    Status take_back();
    Result<std::string> free_name(const Growing& one, const std::vector<std::string>& taken);
    Status put(Growing& one, size_t place);
    Result<std::unique_ptr<io::ObjectWriter>> begin_content(Growing& one);
    Result<bool> put_index(const Growing& one);
};

ArchiveWriter::ArchiveWriter(io::ObjectStore& store, std::string pipeline, ArchiveOptions options, std::string writer)
    : parts_(std::make_unique<Parts>(store, std::move(pipeline), std::move(options), std::move(writer))) {}
ArchiveWriter::~ArchiveWriter() = default;

bool ArchiveWriter::full() const {
    return parts_->bytes >= parts_->options.segment_bytes || parts_->growing.size() >= parts_->options.segment_objects;
}
int64_t ArchiveWriter::messages() const { return parts_->messages; }
uint64_t ArchiveWriter::bytes() const { return parts_->bytes; }

Result<size_t> ArchiveWriter::recover(std::string_view committed_position) {
    auto& parts = *parts_;
    PN_TRY(auto intent, load_intent(parts.store, parts.intent_file));
    parts.intent_known = true;
    parts.intent_there = intent.has_value();
    if (!intent || same_position(intent->position, committed_position)) return 0;
    PN_TRY(size_t removed, withdraw(parts.store, *intent));
    PN_CHECK(parts.store.remove(parts.intent_file));
    parts.intent_there = false;
    return removed;
}

Growing& ArchiveWriter::Parts::group(std::string_view route, TimePoint time) {
    auto start = span_start(time, span);
    if (auto found = growing.find(std::pair(route, start)); found != growing.end()) return found->second;
    auto& made = growing[Group(std::string(route), start)];
    made.object.route = route;
    made.object.first_time = made.object.last_time = time;
    return made;
}

Status ArchiveWriter::add(std::string_view route, const flow::Message& message, TimePoint event_time) {
    auto& parts = *parts_;
    TimePoint received{std::chrono::microseconds(message.received_micros)};
    bool by_event = parts.options.by == ArchiveTime::event && event_time >= first_moment && event_time < last_moment;
    TimePoint time = by_event ? event_time : received;
    auto& one = parts.group(route, time);
    PN_CHECK(one.entries.add(message, by_event ? std::optional(time) : std::nullopt));
    one.payloads.push_back(message.payload);
    auto& object = one.object;
    if (object.messages == 0) object.first_position = message.position;
    object.last_position = message.position;
    object.first_time = std::min(object.first_time, time);
    object.last_time = std::max(object.last_time, time);
    object.messages += 1;
    object.bytes += message.payload.size() + 1;
    parts.messages += 1;
    parts.bytes += message.payload.size();
    return {};
}

void ArchiveWriter::Parts::forget() {
    growing.clear();
    messages = 0;
    bytes = 0;
}

Status ArchiveWriter::Parts::take_back() {
    PN_CHECK(withdraw(store, intent));
    intent = {};
    return {};
}

Result<std::string> ArchiveWriter::Parts::free_name(const Growing& one, const std::vector<std::string>& taken) {
    std::string own;
    if (!store.names_exclusive()) {
        // Of two writers that have the same message each has a name of its own.
        auto what = fmt::format("{}\n{}\n{}", pipeline, one.object.route, one.object.first_position);
        if (!writer.empty()) what += "\n" + writer;
        own = "-" + sha256_hex(what).substr(0, 16);
    }
    for (int i = 1; i <= most_tries; ++i) {
        auto mark = i == 1 ? own : fmt::format("{}_{}", own, i);
        auto name = object_name(options, pipeline, one.object.route, one.object.first_time, mark);
        if (std::ranges::find(taken, name) != taken.end()) continue;
        PN_TRY(auto object, store.info(name));
        if (object) continue;
        PN_TRY(auto index, store.info(name + std::string(index_suffix)));
        if (!index) return name;
    }
    return fail(
        {.kind = ErrorKind::refused,
         .code = "archive_names_taken",
         .message = fmt::format("{} and {} names after it are taken",
                                store.url(object_name(options, pipeline, one.object.route, one.object.first_time, own)),
                                most_tries - 1),
         .hint = "put {yyyyMMddHHmmss} into the archive's path, or let segments grow larger"});
}

Result<bool> ArchiveWriter::Parts::put_index(const Growing& one) {
    PN_TRY(auto out, store.write_new(one.object.name + std::string(index_suffix)));
    auto take = [&out](std::string_view part) { return out->write(part); };
    IndexHeader header{.object = one.object, .pipeline = pipeline, .segment = intent.segment, .by = options.by};
    PN_TRY(auto first, Packer::make(ArchiveCompression::zstd, take));
    PN_CHECK(first.add(header_line(header)));
    PN_CHECK(first.end());
    PN_CHECK(out->write(one.entries.packed()));
    return out->close();
}

/// All of it but for the close that shows it; by then its digest is known.
Result<std::unique_ptr<io::ObjectWriter>> ArchiveWriter::Parts::begin_content(Growing& one) {
    PN_TRY(auto out, store.write_new(one.object.name));
    PN_TRY(auto packer, Packer::make(options.compression, [&out](std::string_view part) { return out->write(part); }));
    Sha256 digest;
    Pieces pieces([&](std::string_view part) {
        digest.add(part);
        return packer.add(part);
    });
    for (auto payload : one.payloads) {
        PN_CHECK(pieces.add(payload));
        PN_CHECK(pieces.add("\n"));
    }
    PN_CHECK(pieces.flush());
    PN_CHECK(packer.end());
    one.object.sha256 = digest.hex();
    return out;
}

/// Where somebody has taken the name since, another is chosen, and is in the intent before it appears.
Status ArchiveWriter::Parts::put(Growing& one, size_t place) {
    PN_CHECK(one.entries.pack());
    for (int i = 0; i < most_tries; ++i) {
        PN_TRY(auto content, begin_content(one));
        PN_TRY(bool indexed, put_index(one));
        if (indexed) {
            PN_FAILPOINT(archive_index_after);
            PN_TRY(bool done, content->close());
            PN_FAILPOINT(archive_object_after);
            if (done) return {};
            PN_CHECK(store.remove(one.object.name + std::string(index_suffix)));
        }
        PN_TRY(one.object.name, free_name(one, intent.objects));
        intent.objects[place] = one.object.name;
        PN_CHECK(save_intent(store, intent_file, intent));
    }
    return fail(
        {.kind = ErrorKind::refused,
         .code = "archive_names_taken",
         .message = fmt::format("somebody takes every name before it can be written: {}", store.url(one.object.name)),
         .hint = "let only one process write this pipeline's archive"});
}

Result<std::vector<ArchivedObject>> ArchiveWriter::publish(std::string_view position) {
    auto& parts = *parts_;
    std::vector<ArchivedObject> objects;
    PN_CHECK(parts.take_back());
    if (parts.growing.empty()) {
        PN_CHECK(finish());
        return objects;
    }
    parts.intent = {.pipeline = parts.pipeline, .segment = new_run_id(), .position = std::string(position)};
    for (auto& [group, one] : parts.growing) {
        PN_TRY(one.object.name, parts.free_name(one, parts.intent.objects));
        parts.intent.objects.push_back(one.object.name);
    }
    PN_FAILPOINT(archive_intent_before);
    PN_CHECK(save_intent(parts.store, parts.intent_file, parts.intent));
    parts.intent_known = parts.intent_there = true;
    PN_FAILPOINT(archive_intent_after);
    size_t place = 0;
    for (auto& [group, one] : parts.growing) {
        PN_CHECK(parts.put(one, place++));
        objects.push_back(std::move(one.object));
    }
    parts.intent = {};
    parts.forget();
    return objects;
}

Status ArchiveWriter::abort() {
    auto& parts = *parts_;
    parts.forget();
    return parts.take_back();
}

Status ArchiveWriter::finish() {
    auto& parts = *parts_;
    if (parts.intent_known && !parts.intent_there) return {};
    PN_CHECK(parts.store.remove(parts.intent_file));
    parts.intent_known = true;
    parts.intent_there = false;
    return {};
}

}  // namespace penstock::archive
