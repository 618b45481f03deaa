#include "connect/postgres/copy_decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::postgres {
namespace {

/// Rows that are decoded together.
constexpr size_t rows_together = 64;

constexpr std::string_view signature{"PGCOPY\n\377\r\n\0", 11};

Error broken(std::string what) {
    return {.kind = ErrorKind::data,
            .code = "copy_protocol",
            .message = fmt::format("the server's COPY data cannot be understood: {}", what),
            .hint = "is there a proxy in between that is not PostgreSQL?"};
}

}  // namespace

size_t rows_of_block(size_t columns) {
    constexpr size_t most_fields = 256 * 1024;
    return std::clamp<size_t>(most_fields / std::max<size_t>(columns, 1), 64, data::block_rows);
}

CopyDecoder::CopyDecoder(std::vector<ReaderPtr> readers)
    : readers_(std::move(readers)),
      capacity_(rows_of_block(readers_.size())),
      stride_(capacity_ + 8),  // not a power of two, or all columns would fall into the same cache sets
      fields_(readers_.size() * stride_) {}

void CopyDecoder::restart() {
    header_seen_ = ended_ = false;
    carried_.clear();
}

void CopyDecoder::begin_block() {
    rows_ = decoded_ = 0;
    refused_.clear();
}

Status CopyDecoder::split(std::string_view payload, data::Block& block) {
    if (!carried_.empty()) {
        // Only peers that do not send a message a row come here; the joined bytes live as long as the block.
        carried_ += payload;
        char* joined = block.allocate(carried_.size());
        std::memcpy(joined, carried_.data(), carried_.size());
        payload = {joined, carried_.size()};
        carried_.clear();
    }
    while (!payload.empty()) {
        if (ended_) return fail(broken("bytes follow the trailer"));
        if (full()) break;
        PN_TRY(size_t used, header_seen_ ? split_row(payload) : split_header(payload));
        if (used == 0) break;
        payload.remove_prefix(used);
        if (rows_ - decoded_ == rows_together) decode_to(rows_, block);
    }
    carried_ = payload;
    return {};
}

Result<size_t> CopyDecoder::split_header(std::string_view bytes) {
    size_t known = std::min(bytes.size(), signature.size());
    if (bytes.substr(0, known) != signature.substr(0, known)) return fail(broken("the signature is not PGCOPY"));
    if (bytes.size() < signature.size() + 8) return 0;
    WireCursor wire(bytes.substr(signature.size()));
    auto flags = wire.integer<uint32_t>();
    auto extension = wire.integer<uint32_t>();
    // Bits 16 to 31 are critical; bit 16 (OIDs) ended with PostgreSQL 12.
    if ((flags & 0xffff0000) != 0) return fail(broken(fmt::format("unknown critical flags 0x{:08x}", flags)));
    if (extension > 1024) return fail(broken("the header extension is too long"));
    if (wire.left() < extension) return 0;
    header_seen_ = true;
    return signature.size() + 8 + extension;
}

Result<size_t> CopyDecoder::split_row(std::string_view bytes) {
    if (bytes.size() < 2) return 0;
    auto count = load_big_endian<int16_t>(bytes.data());
    if (count == -1) {
        ended_ = true;
        return 2;
    }
    if (count != static_cast<int16_t>(readers_.size()))
        return fail(broken(fmt::format("a row has {} fields instead of {}", count, readers_.size())));
    const char* at = bytes.data() + 2;
    const char* end = bytes.data() + bytes.size();
    FieldRef* field = fields_.data() + rows_;
    for (size_t column = 0; column < readers_.size(); ++column, field += stride_) {
        if (end - at < 4) return 0;
        auto length = load_big_endian<int32_t>(at);
        at += 4;
        if (length > end - at) return 0;
        if (length < -1) return fail(broken(fmt::format("a field has length {}", length)));
        *field = {at, length};
        if (length > 0) at += length;
    }
    ++rows_;
    return static_cast<size_t>(at - bytes.data());
}

void CopyDecoder::decode(data::Block& block, std::vector<RefusedRow>& refused) {
    decode_to(rows_, block);
    auto same_row = [](const auto& a, const auto& b) { return a.row == b.row; };
    std::stable_sort(refused_.begin(), refused_.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
    refused_.erase(std::unique(refused_.begin(), refused_.end(), same_row), refused_.end());
    refused = std::exchange(refused_, {});
}

void CopyDecoder::decode_rest(data::Block& block, const std::vector<RefusedRow>& refused) {
    drop_rows(refused);
    block.clear_columns();
    decoded_ = 0;
    decode_to(rows_, block);
    PN_ASSERT(refused_.empty());
}

void CopyDecoder::decode_to(size_t end, data::Block& block) {
    ReadContext context{.block = block};
    for (size_t column = 0; column < readers_.size(); ++column) {
        std::span<const FieldRef> fields(fields_.data() + column * stride_ + decoded_, end - decoded_);
        readers_[column]->read_column(fields, decoded_, column, block.columns[column], context, refused_);
    }
    block.rows = decoded_ = end;
}

void CopyDecoder::drop_rows(const std::vector<RefusedRow>& refused) {
    for (size_t column = 0; column < readers_.size(); ++column) {
        FieldRef* fields = fields_.data() + column * stride_;
        size_t kept = 0;
        auto next = refused.begin();
        for (size_t row = 0; row < rows_; ++row) {
            if (next != refused.end() && next->row == row) ++next;
            else fields[kept++] = fields[row];
        }
    }
    rows_ -= refused.size();
}

}  // namespace penstock::postgres
