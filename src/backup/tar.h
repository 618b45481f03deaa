#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace penstock::backup {

/// What stands before a member's content.
struct TarEntry {
    enum class Kind { file, folder, link };
    Kind kind = Kind::file;
    std::string path;     ///< as in the archive, without a slash at its end
    std::string link;     ///< what a link points to
    uint64_t size = 0;    ///< of a file
    unsigned mode = 0;    ///< permissions
    uint64_t offset = 0;  ///< of the content in the archive
};

/// Takes the members of an archive: begin(), its content() in pieces, end().
class TarTaker {
  public:
    virtual ~TarTaker() = default;
    virtual Status begin(const TarEntry& entry) = 0;
    virtual Status content(std::string_view bytes) = 0;
    virtual Status end() = 0;
};

/// Reads the tar that PostgreSQL writes (ustar; sizes above 8 GiB in base 256), in pieces of any length. Every path is relative
/// and stays below its folder: an archive that says otherwise is an error of code `bad_tar`.
class TarReader {
  public:
    explicit TarReader(TarTaker& taker) : taker_(taker) {}

    Status add(std::string_view bytes);
    /// The archive is over; an error where it ends within a member.
    Status finish();

  private:
    Status header();

    static constexpr size_t block = 512;
    TarTaker& taker_;
    std::string header_;
    uint64_t position_ = 0;  ///< of the next byte
    uint64_t content_ = 0;   ///< bytes of the member still to come
    uint64_t padding_ = 0;   ///< and zeroes behind them
    bool inside_ = false;    ///< begin() was called, end() was not
    bool ended_ = false;     ///< an empty block came
};

}  // namespace penstock::backup
