#include "backup/tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

namespace penstock::backup {
namespace {

Error bad_tar(std::string_view what) {
    return {.kind = ErrorKind::data,
            .code = "bad_tar",
            .message = fmt::format("an archive of the backup cannot be read: {}", what),
            .hint = "this is a fault of Penstock or of the server: please report it with both versions"};
}

std::string_view text_at(std::string_view header, size_t at, size_t size) {
    auto field = header.substr(at, size);
    return field.substr(0, field.find('\0'));
}

/// Octal digits, or with the highest bit set a number in base 256.
std::optional<uint64_t> number_at(std::string_view header, size_t at, size_t size) {
    auto field = header.substr(at, size);
    uint64_t value = 0;
    if (static_cast<unsigned char>(field.front()) == 0x80) {
        for (unsigned char byte : field.substr(size - 8)) value = value << 8 | byte;
        return value;
    }
    for (char c : field) {
        if (c == ' ' || c == '\0') continue;
        if (c < '0' || c > '7') return std::nullopt;
        value = value * 8 + static_cast<uint64_t>(c - '0');
    }
    return value;
}

bool header_sums_up(std::string_view header) {
    uint64_t sum = 0;
    for (size_t i = 0; i < header.size(); ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
    return number_at(header, 148, 8) == sum;
}

bool stays_below(const std::string& path) {
    std::filesystem::path parts(path);
    return !path.empty() && parts.is_relative() && std::ranges::find(parts, "..") == parts.end();
}

}  // namespace

Status TarReader::header() {
    if (std::ranges::all_of(header_, [](char c) { return c == '\0'; })) {
        ended_ = true;
        return {};
    }
    if (ended_) return fail(bad_tar("something comes behind its end"));
    if (!header_sums_up(header_)) return fail(bad_tar("the checksum of a header is wrong"));
    TarEntry entry{.path = std::string(text_at(header_, 0, 100)), .link = std::string(text_at(header_, 157, 100))};
    switch (header_[156]) {
        case '0':
        case '\0': entry.kind = TarEntry::Kind::file; break;
        case '5': entry.kind = TarEntry::Kind::folder; break;
        case '2': entry.kind = TarEntry::Kind::link; break;
        default: return fail(bad_tar(fmt::format("a member of kind '{}'", header_[156])));
    }
    while (entry.path.ends_with('/')) entry.path.pop_back();
    if (entry.path.starts_with("./")) entry.path.erase(0, 2);
    auto mode = number_at(header_, 100, 8);
    auto size = number_at(header_, 124, 12);
    if (!mode || !size) return fail(bad_tar(fmt::format("the size of '{}' is no number", entry.path)));
    if (!stays_below(entry.path)) return fail(bad_tar(fmt::format("'{}' is no path below a folder", entry.path)));
    entry.mode = static_cast<unsigned>(*mode & 07777);
    entry.size = entry.kind == TarEntry::Kind::file ? *size : 0;
    entry.offset = position_;
    content_ = entry.size;
    padding_ = (block - entry.size % block) % block;
    inside_ = true;
    return taker_.begin(entry);
}

Status TarReader::add(std::string_view bytes) {
    auto take = [&](uint64_t most) {
        auto taken = bytes.substr(0, std::min<uint64_t>(most, bytes.size()));
        bytes.remove_prefix(taken.size());
        position_ += taken.size();
        return taken;
    };
    while (!bytes.empty()) {
        if (content_ > 0) {
            auto piece = take(content_);
            content_ -= piece.size();
            PN_CHECK(taker_.content(piece));
        } else if (padding_ > 0) {
            padding_ -= take(padding_).size();
        } else {
            header_ += take(block - header_.size());
            if (header_.size() < block) return {};
            PN_CHECK(header());
            header_.clear();
        }
        if (inside_ && content_ == 0) {
            inside_ = false;
            PN_CHECK(taker_.end());
        }
    }
    return {};
}

Status TarReader::finish() {
    if (inside_ || padding_ > 0 || !header_.empty()) return fail(bad_tar("it ends in the middle of a member"));
    return {};
}

}  // namespace penstock::backup
