#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "transform/archive/archive.h"

namespace arrow::util {
class Codec;
class Compressor;
class Decompressor;
}  // namespace arrow::util

namespace penstock::archive {

using Take = std::function<Status(std::string_view)>;

/// Compresses what it is given, or hands it on as it is. What end() closes can be put before another packed stream: the two
/// are read as one.
class Packer {
  public:
    static Result<Packer> make(ArchiveCompression how, Take take);
    Packer(Packer&&) noexcept;
    ~Packer();

    Status add(std::string_view bytes);
    Status end();

  private:
    Packer(std::unique_ptr<arrow::util::Codec> codec, Take take);
    std::unique_ptr<arrow::util::Codec> codec_;
    std::shared_ptr<arrow::util::Compressor> compressor_;
    Take take_;
    std::string out_;
};

/// The way back; which it was is seen by the first bytes of a name's extension.
class Unpacker {
  public:
    static Result<Unpacker> make(ArchiveCompression how);
    Unpacker(Unpacker&&) noexcept;
    ~Unpacker();

    /// What `packed` becomes is appended to `out`, about `most` bytes at once: how much of `packed` was used. An error text
    /// where it is damaged.
    std::expected<size_t, std::string> add(std::string_view packed, std::string& out, size_t most);
    /// Everything that was begun has ended.
    bool whole() const;

  private:
    explicit Unpacker(std::unique_ptr<arrow::util::Codec> codec);
    std::unique_ptr<arrow::util::Codec> codec_;
    std::shared_ptr<arrow::util::Decompressor> decompressor_;
    bool begun_ = false;
};

/// By the extension that an object's name has.
ArchiveCompression compression_of(std::string_view object);

}  // namespace penstock::archive
