#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "io/object_store.h"
#include "transform/archive/packing.h"

namespace penstock::parquet {

/// The error of an object that cannot be read to its end: nothing of it is taken.
Error object_damaged(const std::string& url, std::string_view what);

/// An object's bytes in order, unpacked by its name's extension, without a byte order mark. Holds one piece of it, whatever it unpacks to.
class Content {
  public:
    static Result<Content> open(io::ObjectStore& store, const std::string& name);

    /// The next bytes, until the next call; empty at the end.
    Result<std::string_view> next();
    /// Of the object, so far.
    uint64_t bytes_read() const { return bytes_read_; }
    const std::string& url() const { return url_; }

  private:
    Status more();
    Content(std::string url, std::unique_ptr<io::ObjectReader> reader, archive::Unpacker unpacker);

    std::string url_;
    std::unique_ptr<io::ObjectReader> reader_;
    archive::Unpacker unpacker_;
    std::string packed_;
    size_t used_ = 0;
    std::string text_;
    bool begun_ = false;
    uint64_t bytes_read_ = 0;
};

}  // namespace penstock::parquet
