// A schema, a zero byte, and a message: Avro after an 'a', Protobuf after a 'p'. Whatever they are, decoding ends within its bounds, and
// what comes of it is JSON.

#include <simdjson.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "transform/payload/avro_decoder.h"
#include "transform/payload/protobuf_schema.h"

namespace {

using namespace penstock::payload;

void decode(bool avro, std::string_view schema, std::string_view payload) {
    std::string json;
    if (avro) {
        auto made = AvroSchema::parse(schema);
        if (!made || !append_avro(made->root(), payload, json)) return;
    } else {
        auto made = ProtobufSchema::parse(schema, {});
        const int64_t first[] = {0};
        const auto* type = made ? made->message(first) : nullptr;
        if (type == nullptr || !append_protobuf(*made, *type, payload, json)) return;
    }
    if (simdjson::validate_utf8(json) && !nlohmann::json::accept(json)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    size_t end = input.find('\0');
    if (size < 2 || end == input.npos) return 0;
    decode(input[0] == 'a', input.substr(1, end - 1), input.substr(end + 1));
    return 0;
}
