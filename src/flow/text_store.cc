#include "flow/text_store.h"

#include <algorithm>
#include <cstring>

namespace penstock::flow {

constexpr size_t chunk_bytes = size_t{1} << 20;

std::string_view TextStore::keep(std::string_view text) {
    if (chunks_.empty() || used_ + text.size() > size_) {
        size_ = std::max(chunk_bytes, text.size());
        chunks_.push_back(std::make_unique_for_overwrite<char[]>(size_ + text_padding));
        used_ = 0;
        bytes_ += size_ + text_padding;
    }
    char* memory = chunks_.back().get() + used_;
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    used_ += text.size();
    return {memory, text.size()};
}

std::string_view TextStore::keep_aligned(std::string_view bytes) {
    used_ += -used_ % alignof(uint32_t);
    if (used_ > size_) used_ = size_;
    return keep(bytes);
}

}  // namespace penstock::flow
