#include "transform/events/json_index.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace penstock::events {
namespace {

static_assert(flow::text_padding >= simdjson::SIMDJSON_PADDING);
constexpr size_t least_capacity = size_t{64} << 10;
constexpr size_t any_depth = 1;  // the second stage's, which is not used

}  // namespace

JsonIndexer::JsonIndexer() = default;
JsonIndexer::~JsonIndexer() = default;

JsonIndex JsonIndexer::index(std::string_view text, flow::TextStore& store) {
    if (text.size() >= std::numeric_limits<uint32_t>::max()) return {.fault = "it has 4 GiB or more"};
    if (capacity_ < text.size() || !parser_) {
        size_t capacity = std::max(least_capacity, std::bit_ceil(text.size()));
        parser_.reset();
        auto error =
            simdjson::get_active_implementation()->create_dom_parser_implementation(capacity, any_depth, parser_);
        if (error) return {.fault = simdjson::error_message(error)};
        capacity_ = capacity;
    }
    auto error =
        parser_->stage1(reinterpret_cast<const uint8_t*>(text.data()), text.size(), simdjson::stage1_mode::regular);
    if (error) return {.fault = simdjson::error_message(error)};
    std::string_view found(reinterpret_cast<const char*>(parser_->structural_indexes.get()),
                           parser_->n_structural_indexes * sizeof(uint32_t));
    return {.at = reinterpret_cast<const uint32_t*>(store.keep_aligned(found).data()),
            .count = parser_->n_structural_indexes,
            .escapes = text.find('\\') != text.npos};
}

}  // namespace penstock::events
