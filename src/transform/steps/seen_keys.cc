#include "transform/steps/seen_keys.h"

#include <openssl/evp.h>

#include <cstring>

#include <fmt/format.h>

namespace penstock::steps {
namespace {

/// The value so that no two different ones of a type give the same bytes: lengths stand in front.
void append_value(const data::Column& column, size_t row, std::string& bytes) {
    bytes += column.valid(row) ? '\1' : '\0';
    if (!column.valid(row)) return;
    auto append_size = [&](uint64_t size) { bytes.append(reinterpret_cast<const char*>(&size), sizeof size); };
    switch (column.layout()) {
        case data::Layout::string: {
            auto text = column.values<data::StringRef>()[row].view();
            append_size(text.size());
            bytes.append(text);
            return;
        }
        case data::Layout::list: {
            auto entry = column.values<data::ListEntry>()[row];
            append_size(entry.length);
            for (uint64_t i = 0; i < entry.length; ++i)
                append_value(column.children().front(), entry.offset + i, bytes);
            return;
        }
        case data::Layout::structure:
            for (const auto& child : column.children()) append_value(child, row, bytes);
            return;
        default: {
            size_t width = data::width_of(column.layout());
            bytes.append(reinterpret_cast<const char*>(column.values<std::byte>()) + row * width, width);
        }
    }
}

}  // namespace

RowDigest digest_of(const data::Block& block, const std::vector<size_t>& columns, size_t row, std::string& scratch) {
    scratch.clear();
    for (size_t column : columns) append_value(block.columns[column], row, scratch);
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_Digest(scratch.data(), scratch.size(), digest, nullptr, EVP_sha256(), nullptr);
    RowDigest made;
    std::memcpy(made.data(), digest, sizeof made);
    return made;
}

Result<bool> SeenKeys::is_new(const RowDigest& key, Clock::time_point now) {
    std::lock_guard lock(mutex_);
    bool forgets = within_.count() != 0;
    auto forget_oldest = [&] {
        keys_.erase(order_.front().key);
        order_.pop_front();
    };
    while (!order_.empty() && now - order_.front().at > within_) forget_oldest();
    if (keys_.contains(key)) return false;
    if (keys_.size() >= most_) {
        if (!forgets)
            return fail(
                {.kind = ErrorKind::capacity,
                 .code = "dedupe_full",
                 .message = fmt::format("a dedupe step has seen {} different keys, as many as it may hold", most_),
                 .hint = "raise its `keys`, or let it forget old ones by `within`"});
        forget_oldest();
    }
    keys_.insert(key);
    if (forgets) order_.push_back({now, key});
    return true;
}

}  // namespace penstock::steps
