#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "connect/parquet/objects/content.h"

namespace penstock::parquet {

/// One record of an object, as it stands there.
struct Record {
    std::string_view text;
    int64_t number = 0;  ///< its line, of a JSON array its place, from 1 on
    uint64_t bytes = 0;  ///< of all of it, also where `text` is cut
    bool cut = false;    ///< it is longer than it may be: `text` is its beginning
};

/// The records of an object in order. One thread.
class Records {
  public:
    virtual ~Records() = default;
    /// False at the end. The text lives until the next call.
    virtual Result<bool> next(Record& record) = 0;
    virtual uint64_t bytes_read() const = 0;
};

/// Lines that are not empty; of one with more than `most` bytes only the beginning is ever in memory.
std::unique_ptr<Records> line_records(Content content, size_t most);

/// The elements of JSON arrays, and the values that stand outside of any, one after the other. What stands in a value is for the
/// reader of it to check; what is between them is checked here: code `object_damaged`.
std::unique_ptr<Records> element_records(Content content, size_t most);

}  // namespace penstock::parquet
