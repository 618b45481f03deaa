#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "flow/messages.h"

namespace penstock::io {
class ObjectStore;
}

namespace penstock::archive {

/// By which time a message's object is named.
enum class ArchiveTime { ingestion, event };
enum class ArchiveCompression { none, gzip, zstd };

/// How a pipeline's raw messages are kept.
struct ArchiveOptions {
    /// Below the store's URL: {route}, {pipeline} and the time parts {yyyy} {MM} {dd} {HH} {mm} {ss} {yyyyMMdd}
    /// {yyyyMMddHHmmss} of UTC. See check_archive_path.
    std::string path = "output/{route}/{yyyy}/{MM}/{dd}/{HH}/{route}_{yyyyMMddHHmmss}.json";
    ArchiveTime by = ArchiveTime::ingestion;
    ArchiveCompression compression = ArchiveCompression::none;  ///< adds .gz or .zst to the name
    uint64_t segment_bytes = uint64_t{256} << 20;               ///< ArchiveWriter::full
    size_t segment_objects = 1000;                              ///< likewise; by event time each hour is an object
};

/// Whether objects can be found by route and time: {route} and the day are in it, and no part leaves the folder or begins with
/// `_` or `.`. An object holds one hour where the hour is in it, else one day.
Status check_archive_path(std::string_view path);

/// An object of messages, one after the other with '\n' behind each. Beside it stands `<name>.index`.
struct ArchivedObject {
    std::string name;  ///< below the store's URL
    std::string route;
    int64_t messages = 0;
    uint64_t bytes = 0;  ///< before compression
    std::string first_position;
    std::string last_position;
    TimePoint first_time;  ///< least and greatest of the time that names it
    TimePoint last_time;
    std::string sha256;  ///< of the bytes before compression, hexadecimal
};

/// What ArchiveWriter does exactly once. A segment of a stream, that is what one commit of the target holds, is
///     add()…  publish(position)  [the caller commits the target with that position]  add()…
/// An object whose segment was never committed is removed by recover(), which the stream calls before its first add().
///
/// How: publish() first replaces `_penstock/archive/<pipeline>.json` (the intent) by the names that are about to appear and
/// the position they belong to; then come the indexes, then the objects. A name that is there is never written again: where
/// it is taken, `_2`, `_3`… goes before the extension. On object stores, which cannot refuse a taken name, the name also
/// carries 16 hexadecimal digits of the digest of pipeline, writer and first position. A name is removed only where its index says
/// that it is of the intent.
///
/// One thread. Errors are of kind `unavailable` where the store may answer another time.
class ArchiveWriter {
  public:
    /// `store` outlives this. `writer` tells processes of one pipeline apart that run at once ("" for the only one).
    ArchiveWriter(io::ObjectStore& store, std::string pipeline, ArchiveOptions options, std::string writer = "");
    ~ArchiveWriter();
    ArchiveWriter(const ArchiveWriter&) = delete;
    ArchiveWriter& operator=(const ArchiveWriter&) = delete;

    /// To be called before the first add(), and before the next one after a commit that failed: takes away what was published
    /// and not committed. `committed_position`: the JSON of the target's checkpoint, "" where it has none. The number of
    /// objects removed.
    Result<size_t> recover(std::string_view committed_position);

    /// The payload has to stay where it is until publish() or abort(); all else is copied. `event_time` is the message's own by its schema, else the bus's; used by ArchiveTime::event.
    Status add(std::string_view route, const flow::Message& message, TimePoint event_time);

    /// A segment should end here: its objects are large or many.
    bool full() const;
    int64_t messages() const;  ///< added since the last publish or abort
    uint64_t bytes() const;    ///< of their payloads

    /// Makes the segment's objects visible. To be called before every commit of the target, also where nothing was added:
    /// the intent of the segment before must be gone when the position moves on. After an error only abort() may follow.
    Result<std::vector<ArchivedObject>> publish(std::string_view position);

    /// This segment will not be committed: forgets what was added, and takes back what a publish() that failed has shown. What
    /// a publish() that succeeded has shown stays: whether the target has committed it, recover() is told.
    Status abort();

    /// The last segment is committed and none follows: removes the intent, so that no later reset of the target's checkpoint
    /// can be taken for a kill.
    Status finish();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

/// One message read back, byte for byte. Texts live until the next call of next().
struct ReadMessage {
    flow::Message message;
    TimePoint time;  ///< that named its object
};

/// The messages of one object, in order. One thread.
class ArchiveMessages {
  public:
    virtual ~ArchiveMessages() = default;
    /// Nothing at the end. Code `archive_damaged` where object and index disagree.
    virtual Result<std::optional<ReadMessage>> next() = 0;
};

/// Reads what ArchiveWriter wrote. Any thread; one for each ArchiveMessages.
class ArchiveReader {
  public:
    ArchiveReader(io::ObjectStore& store, std::string pipeline, ArchiveOptions options);

    /// Objects that have a message of [from, to), by the time that names them, in order of time and name. Without routes all are
    /// looked for, which lists the whole archive where {route} stands before the day. What has no index is not the archive's,
    /// or was never committed.
    Result<std::vector<ArchivedObject>> objects(TimePoint from, TimePoint to,
                                                const std::vector<std::string>& routes = {});

    /// Reads the object once and compares its SHA-256 with the index's: code `archive_damaged`.
    Status verify(const ArchivedObject& object);

    Result<std::unique_ptr<ArchiveMessages>> open(const ArchivedObject& object);

  private:
    io::ObjectStore& store_;
    std::string pipeline_;
    ArchiveOptions options_;
};

}  // namespace penstock::archive
