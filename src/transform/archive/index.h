#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "transform/archive/archive.h"

namespace penstock::io {
class ObjectStore;
}

namespace penstock::archive {

/// What stands beside an object, as lines of JSON, packed with zstd: a header, then one line a message. The header is a stream
/// of its own ahead of the others, because it is known last and wanted first.
inline constexpr std::string_view index_suffix = ".index";
inline constexpr int index_version = 1;

struct IndexHeader {
    ArchivedObject object;
    std::string pipeline;
    std::string segment;  ///< of the intent: who may remove it
    ArchiveTime by = ArchiveTime::ingestion;
};

std::string header_line(const IndexHeader& header);
/// Nothing where it is no header of a version that this program knows.
std::optional<IndexHeader> read_header(std::string_view line);

/// The header of an object's index; nothing where there is no index. Code `archive_damaged` where it cannot be read.
Result<std::optional<IndexHeader>> load_header(io::ObjectStore& store, const std::string& object);

/// A message's line; `time` only where it is not the moment of its coming.
void append_entry(std::string& out, const flow::Message& message, std::optional<TimePoint> time);

/// A message's line read back: all but the payload, whose length is given. Texts are those of this struct.
struct IndexEntry {
    uint64_t length = 0;
    std::string position;
    std::string attributes;
    std::string key;
    int64_t sent_micros = 0;
    int64_t received_micros = 0;
    TimePoint time;
};
std::optional<IndexEntry> read_entry(std::string_view line);

Error damaged(const std::string& object_url, std::string_view what);

}  // namespace penstock::archive
