#include "backup/part.h"

#include <arrow/util/compression.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

namespace penstock::backup {
namespace {

constexpr std::string_view magic = "PNSTKBK1";
constexpr int zstd_level =
    1;  // a backup has to keep up with the server; 3 costs twice the CPU for a tenth of the bytes

const uint8_t* raw_bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }
int64_t raw_length(std::string_view text) { return static_cast<int64_t>(text.size()); }

Error codec_error(const arrow::Status& status) {
    return {.kind = ErrorKind::internal,
            .code = "backup_codec",
            .message = "cannot compress: " + status.message(),
            .hint = "this is a fault of Penstock or of its Arrow library: please report it"};
}

arrow::Result<std::unique_ptr<arrow::util::Codec>> codec() {
    return arrow::util::Codec::Create(arrow::Compression::ZSTD, zstd_level);
}

}  // namespace

Error damaged_object(const std::string& url, std::string_view what) {
    return {.kind = ErrorKind::check_failed,
            .code = "backup_damaged",
            .message = fmt::format("{} {}", url, what),
            .where = url,
            .hint = "restore another backup, and take a new one; look at the store's disks or its history of versions"};
}

Result<std::string> pack_part(std::string_view raw, const Key& key, const std::string& name) {
    auto made = codec();
    if (!made.ok()) return fail(codec_error(made.status()));
    uint64_t size = raw.size();
    std::string plain(sizeof size, '\0');
    std::memcpy(plain.data(), &size, sizeof size);  // little-endian, as every machine that this is built for
    plain.resize(sizeof size + static_cast<size_t>((*made)->MaxCompressedLen(raw_length(raw), raw_bytes(raw))));
    auto* out = reinterpret_cast<uint8_t*>(plain.data()) + sizeof size;
    auto packed =
        (*made)->Compress(raw_length(raw), raw_bytes(raw), static_cast<int64_t>(plain.size() - sizeof size), out);
    if (!packed.ok()) return fail(codec_error(packed.status()));
    plain.resize(sizeof size + static_cast<size_t>(*packed));
    return std::string(magic) + key.seal(plain, name);
}

Result<std::string> unpack_part(std::string_view packed, const Key& key, const std::string& name,
                                const std::string& url) {
    auto plain = packed.starts_with(magic) ? key.open(packed.substr(magic.size()), name) : std::nullopt;
    uint64_t size = 0;
    if (!plain || plain->size() < sizeof size)
        return fail(
            damaged_object(url, "is damaged: its seal does not hold, so some bit of it is not what was written"));
    std::memcpy(&size, plain->data(), sizeof size);
    auto made = codec();
    if (!made.ok()) return fail(codec_error(made.status()));
    if (size > part_bytes) return fail(damaged_object(url, "holds more than a part can"));
    std::string raw(size, '\0');
    std::string_view text = std::string_view(*plain).substr(sizeof size);
    auto done =
        (*made)->Decompress(raw_length(text), raw_bytes(text), raw_length(raw), reinterpret_cast<uint8_t*>(raw.data()));
    if (!done.ok() || *done != raw_length(raw)) return fail(damaged_object(url, "does not unpack"));
    return raw;
}

}  // namespace penstock::backup
