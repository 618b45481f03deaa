#include "connect/postgres/replication/lsn.h"

#include <fmt/format.h>

#include <charconv>

namespace penstock::postgres {
namespace {

std::optional<uint64_t> half(std::string_view digits) {
    if (digits.empty() || digits.size() > 8) return std::nullopt;
    uint32_t value = 0;
    auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

}  // namespace

std::string Lsn::text() const { return fmt::format("{:X}/{:X}", value >> 32, value & 0xffffffff); }

std::optional<Lsn> Lsn::parse(std::string_view text) {
    auto slash = text.find('/');
    if (slash == text.npos) return std::nullopt;
    auto high = half(text.substr(0, slash)), low = half(text.substr(slash + 1));
    if (!high || !low) return std::nullopt;
    return Lsn(*high << 32 | *low);
}

}  // namespace penstock::postgres
