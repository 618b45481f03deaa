#pragma once

#include <chrono>

#include "config/values.h"

namespace penstock::config {

template <class T>
class Spec;

enum class ArchiveTime { ingestion, sent };
enum class ArchiveCompression { none, gzip, zstd };

/// `archive`: the messages of an event stream as they came, in objects of their own.
struct Archive {
    Text connection;
    Text path{.value = "output/{route}/{yyyy}/{MM}/{dd}/{HH}/{route}_{yyyyMMddHHmmss}.json"};
    ArchiveTime by = ArchiveTime::ingestion;
    ArchiveCompression compression = ArchiveCompression::none;
    std::chrono::microseconds every = std::chrono::seconds(10);
    Bytes object_bytes{uint64_t{64} << 20};
};

const Spec<Archive>& archive_spec();

}  // namespace penstock::config
