#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <string>
#include <string_view>

#include "connect/postgres/replication/pgoutput.h"

namespace penstock::postgres {

/// Bytes of a message, put down field by field as the protocol's page lists them.
struct Wire {
    std::string out;

    template <class T>
    Wire& put(T value) {
        if constexpr (sizeof(T) > 1) value = std::byteswap(value);
        out.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    Wire& byte(char value) { return put(value); }
    Wire& u16(uint16_t value) { return put(value); }
    Wire& u32(uint32_t value) { return put(value); }
    Wire& u64(uint64_t value) { return put(value); }
    Wire& text(std::string_view value) { return out.append(value).push_back('\0'), *this; }
    Wire& value(char kind, std::string_view bytes) {
        byte(kind).u32(static_cast<uint32_t>(bytes.size()));
        out += bytes;
        return *this;
    }
    Wire& xid(bool stream) { return stream ? u32(77) : *this; }
};

inline std::string shown(const Tuple& tuple) {
    std::string out;
    for (const auto& value : tuple.values) {
        out += value.kind;
        if (value.kind == 't') out += fmt::format("={}", value.bytes);
        if (value.kind == 'b') out += fmt::format("#{}", value.bytes.size());
        out += ' ';
    }
    return out;
}

template <class T>
T decoded(PgoutputDecoder& decoder, std::string_view bytes) {
    auto message = decoder.decode(bytes);
    REQUIRE_MESSAGE(message, message.error().message);
    REQUIRE(std::holds_alternative<T>(*message));
    return std::get<T>(*message);
}

}  // namespace penstock::postgres
