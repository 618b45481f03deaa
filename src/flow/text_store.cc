#include "flow/text_store.h"

#include <algorithm>
#include <cstring>

namespace penstock::flow {

constexpr size_t chunk_bytes = size_t{1} << 20;

std::string_view TextStore::keep(std::string_view text) {
    if (next_ == 0 || used_ + text.size() > chunks_[next_ - 1].size) open_chunk(text.size());
    char* memory = chunks_[next_ - 1].memory.get() + used_;
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    used_ += text.size();
    return {memory, text.size()};
}

void TextStore::open_chunk(size_t least) {
    bool spare = next_ < chunks_.size() && chunks_[next_].size >= least;
    if (!spare) {
        size_t size = std::max(chunk_bytes, least);
        Chunk made{std::make_unique_for_overwrite<char[]>(size + text_padding), size};
        chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(next_), std::move(made));
    }
    bytes_ += chunks_[next_++].size + text_padding;
    used_ = 0;
}

std::string_view TextStore::keep_aligned(std::string_view bytes) {
    used_ += -used_ % alignof(uint32_t);
    if (next_ > 0) used_ = std::min(used_, chunks_[next_ - 1].size);
    return keep(bytes);
}

void TextStore::clear() {
    std::erase_if(chunks_, [](const Chunk& chunk) { return chunk.size > chunk_bytes; });
    next_ = used_ = 0;
    bytes_ = 0;
}

}  // namespace penstock::flow
