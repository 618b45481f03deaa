#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "flow/text_store.h"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace penstock::events {

/// Where the brackets, colons, commas and values of a JSON text begin, each 32 bits; or why it is none.
struct JsonIndex {
    const uint32_t* at = nullptr;
    uint32_t count = 0;
    const char* fault = nullptr;  ///< a sentence's end, or null
    bool escapes = true;          ///< a backslash is in it somewhere
};

/// Finds the structure of texts with the machine's widest vectors: simdjson's first stage, which has also checked UTF-8, control
/// characters and quotes. What stands at these places is for JsonCursor to check. One thread; indexes live as long as their store.
class JsonIndexer {
  public:
    JsonIndexer();
    ~JsonIndexer();

    /// `text` has flow::text_padding bytes behind it.
    JsonIndex index(std::string_view text, flow::TextStore& store);

  private:
    std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;
    size_t capacity_ = 0;
};

}  // namespace penstock::events
