#include "connect/parquet/objects/content.h"

#include <fmt/format.h>

namespace penstock::parquet {

constexpr uint64_t read_bytes = uint64_t{1} << 20;
constexpr size_t piece_bytes = size_t{256} << 10;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

Error object_damaged(const std::string& url, std::string_view what) {
    return {.kind = ErrorKind::data,
            .code = "object_damaged",
            .message = fmt::format("{} cannot be read to its end: {}", url, what),
            .hint = "nothing of it was loaded: put it there again, whole, or name it in `exclude`"};
}

Content::Content(std::string url, std::unique_ptr<io::ObjectReader> reader, archive::Unpacker unpacker)
    : url_(std::move(url)), reader_(std::move(reader)), unpacker_(std::move(unpacker)) {}

Result<Content> Content::open(io::ObjectStore& store, const std::string& name) {
    PN_TRY(auto unpacker, archive::Unpacker::make(archive::compression_of(name)));
    PN_TRY(auto reader, store.read(name));
    return Content(store.url(name), std::move(reader), std::move(unpacker));
}

Result<std::string_view> Content::next() {
    text_.clear();
    PN_CHECK(more());
    if (begun_) return std::string_view(text_);
    begun_ = true;
    for (size_t before = 0; text_.size() > before && text_.size() < byte_order_mark.size();) {
        before = text_.size();
        PN_CHECK(more());
    }
    if (!text_.starts_with(byte_order_mark)) return std::string_view(text_);
    if (text_.size() == byte_order_mark.size()) return next();
    return std::string_view(text_).substr(byte_order_mark.size());
}

/// Adds some to the text; nothing at the end.
Status Content::more() {
    size_t before = text_.size();
    for (;;) {
        // Also where no packed bytes are left: an unpacker may hold some back.
        auto used = unpacker_.add(std::string_view(packed_).substr(used_), text_, piece_bytes);
        if (!used) return fail(object_damaged(url_, used.error()));
        used_ += *used;
        if (text_.size() > before) return {};
        if (used_ < packed_.size() && *used > 0) continue;
        if (used_ < packed_.size()) return fail(object_damaged(url_, "what follows cannot be unpacked"));
        PN_TRY(packed_, reader_->read(read_bytes));
        used_ = 0;
        bytes_read_ += packed_.size();
        if (!packed_.empty()) continue;
        if (!unpacker_.whole()) return fail(object_damaged(url_, "it ends too early"));
        return {};
    }
}

}  // namespace penstock::parquet
