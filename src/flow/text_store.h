#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace penstock::flow {

/// Bytes that may be read behind every text a TextStore keeps, whatever they are: what vectorised parsers ask for.
inline constexpr size_t text_padding = 64;

/// Memory of the messages of a segment, each with bytes behind it that may be read. What keep() gives stays where it is.
class TextStore {
  public:
    std::string_view keep(std::string_view text);
    /// The same at an address that 32-bit numbers may have.
    std::string_view keep_aligned(std::string_view bytes);
    /// Of what is kept since the last clear().
    uint64_t bytes() const { return bytes_; }
    /// Forgets all texts, and has memory for as many again.
    void clear();

  private:
    struct Chunk {
        std::unique_ptr<char[]> memory;
        size_t size;  ///< without the padding
    };

    void open_chunk(size_t least);

    std::vector<Chunk> chunks_;
    size_t next_ = 0;  ///< behind the chunk that is being filled
    size_t used_ = 0;  ///< of that chunk
    uint64_t bytes_ = 0;
};

}  // namespace penstock::flow
