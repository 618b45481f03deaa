#include "transform/archive/packing.h"

#include <arrow/util/compression.h>

#include <algorithm>
#include <utility>

namespace penstock::archive {
namespace {

constexpr size_t piece_bytes = size_t{128} << 10;
constexpr int zstd_level = 3;
constexpr int gzip_level = 6;

Error codec_error(const arrow::Status& status) {
    return {.kind = ErrorKind::internal,
            .code = "archive_codec",
            .message = "cannot compress: " + status.message(),
            .hint = "this is a fault of Penstock or of its Arrow library: set the archive's compression to none"};
}

Result<std::unique_ptr<arrow::util::Codec>> codec_for(ArchiveCompression how) {
    if (how == ArchiveCompression::none) return nullptr;
    bool zstd = how == ArchiveCompression::zstd;
    auto made = arrow::util::Codec::Create(zstd ? arrow::Compression::ZSTD : arrow::Compression::GZIP,
                                           zstd ? zstd_level : gzip_level);
    if (!made.ok()) return fail(codec_error(made.status()));
    return std::move(*made);
}

const uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

}  // namespace

Packer::Packer(std::unique_ptr<arrow::util::Codec> codec, Take take)
    : codec_(std::move(codec)), take_(std::move(take)) {}
Packer::Packer(Packer&&) noexcept = default;
Packer::~Packer() = default;

Result<Packer> Packer::make(ArchiveCompression how, Take take) {
    PN_TRY(auto codec, codec_for(how));
    return Packer(std::move(codec), std::move(take));
}

Status Packer::add(std::string_view bytes) {
    if (codec_ == nullptr) return take_(bytes);
    if (compressor_ == nullptr) {
        auto made = codec_->MakeCompressor();
        if (!made.ok()) return fail(codec_error(made.status()));
        compressor_ = *made;
        out_.resize(piece_bytes);
    }
    while (!bytes.empty()) {
        auto done = compressor_->Compress(static_cast<int64_t>(bytes.size()), bytes_of(bytes),
                                          static_cast<int64_t>(out_.size()), reinterpret_cast<uint8_t*>(out_.data()));
        if (!done.ok()) return fail(codec_error(done.status()));
        if (done->bytes_written > 0) PN_CHECK(take_({out_.data(), static_cast<size_t>(done->bytes_written)}));
        if (done->bytes_read == 0 && done->bytes_written == 0) out_.resize(out_.size() * 2);
        bytes.remove_prefix(static_cast<size_t>(done->bytes_read));
    }
    return {};
}

Status Packer::end() {
    if (codec_ == nullptr) return {};
    if (compressor_ == nullptr) PN_CHECK(add({}));  // an empty stream is one as well
    for (bool again = true; again;) {
        auto done = compressor_->End(static_cast<int64_t>(out_.size()), reinterpret_cast<uint8_t*>(out_.data()));
        if (!done.ok()) return fail(codec_error(done.status()));
        if (done->bytes_written > 0) PN_CHECK(take_({out_.data(), static_cast<size_t>(done->bytes_written)}));
        again = done->should_retry;
        if (again && done->bytes_written == 0) out_.resize(out_.size() * 2);
    }
    compressor_.reset();
    return {};
}

Unpacker::Unpacker(std::unique_ptr<arrow::util::Codec> codec) : codec_(std::move(codec)) {}
Unpacker::Unpacker(Unpacker&&) noexcept = default;
Unpacker::~Unpacker() = default;

Result<Unpacker> Unpacker::make(ArchiveCompression how) {
    PN_TRY(auto codec, codec_for(how));
    Unpacker made(std::move(codec));
    if (made.codec_ != nullptr) {
        auto decompressor = made.codec_->MakeDecompressor();
        if (!decompressor.ok()) return fail(codec_error(decompressor.status()));
        made.decompressor_ = *decompressor;
    }
    return made;
}

std::expected<size_t, std::string> Unpacker::add(std::string_view packed, std::string& out, size_t most) {
    if (decompressor_ == nullptr) {
        auto now = packed.substr(0, most);
        out += now;
        return now.size();
    }
    size_t used = 0;
    size_t before = out.size();
    while (out.size() - before < most) {
        if (decompressor_->IsFinished()) {
            if (used == packed.size()) break;
            if (auto status = decompressor_->Reset(); !status.ok()) return std::unexpected(status.message());
            begun_ = false;
        }
        size_t at = out.size();
        size_t room = std::min(piece_bytes, most - (at - before));
        out.resize(at + room);
        auto rest = packed.substr(used);
        auto done = decompressor_->Decompress(static_cast<int64_t>(rest.size()), bytes_of(rest),
                                              static_cast<int64_t>(room), reinterpret_cast<uint8_t*>(out.data() + at));
        if (!done.ok()) {
            out.resize(at);
            return std::unexpected(done.status().message());
        }
        begun_ = begun_ || done->bytes_read > 0;
        used += static_cast<size_t>(done->bytes_read);
        out.resize(at + static_cast<size_t>(done->bytes_written));
        if (done->bytes_read == 0 && done->bytes_written == 0) break;
    }
    return used;
}

bool Unpacker::whole() const { return decompressor_ == nullptr || !begun_ || decompressor_->IsFinished(); }

ArchiveCompression compression_of(std::string_view object) {
    if (object.ends_with(".gz")) return ArchiveCompression::gzip;
    if (object.ends_with(".zst")) return ArchiveCompression::zstd;
    return ArchiveCompression::none;
}

}  // namespace penstock::archive
