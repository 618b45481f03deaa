#include "connect/postgres/replication/pgoutput_reader.h"

namespace penstock::postgres {

std::string shown_byte(char byte) {
    auto code = static_cast<unsigned char>(byte);
    return code > ' ' && code < 127 ? fmt::format("'{}'", byte) : fmt::format("byte {}", code);
}

bool MessageReader::value(Tuple::Value& out) {
    if (rest_.empty()) return cut(), false;
    char kind = rest_.front();
    if (kind == 'n' || kind == 'u') {
        out = {kind, {}};
        rest_.remove_prefix(1);
        return true;
    }
    if (kind != 't' && kind != 'b') return wrong(fmt::format("a value's kind is {}", shown_byte(kind))), false;
    rest_.remove_prefix(1);
    out = {kind, counted()};
    return ok();
}

Tuple MessageReader::tuple(std::vector<Tuple::Value>& into) {
    auto from = rest_;
    size_t count = integer<uint16_t>();
    if (count > rest_.size()) cut();  // a value takes a byte at least
    if (!ok()) return {};
    into.resize(count);
    for (auto& out : into)
        if (!value(out)) return {};
    return {.values = into, .bytes = from.substr(0, from.size() - rest_.size())};
}

}  // namespace penstock::postgres
