#include "connect/postgres/copy_decoder.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>

namespace penstock::postgres {
namespace {

template <class T>
void put(std::string& out, T value) {
    T swapped = value;
    if constexpr (sizeof(T) > 1) swapped = std::byteswap(value);
    out.append(reinterpret_cast<const char*>(&swapped), sizeof swapped);
}

void put_field(std::string& out, std::string_view bytes) {
    put<int32_t>(out, static_cast<int32_t>(bytes.size()));
    out += bytes;
}

std::string header() {
    std::string out("PGCOPY\n\377\r\n\0", 11);
    put<uint32_t>(out, 0);
    put<uint32_t>(out, 0);
    return out;
}

std::string row(int32_t id, std::string_view text) {
    std::string out;
    put<int16_t>(out, 2);
    std::string number;
    put<int32_t>(number, id);
    put_field(out, number);
    put_field(out, text);
    return out;
}

std::string trailer() {
    std::string out;
    put<int16_t>(out, -1);
    return out;
}

data::Schema schema() {
    return {{{.name = "id", .type = data::scalar(data::Kind::int32)},
             {.name = "text", .type = data::scalar(data::Kind::text)}}};
}

std::vector<ReaderPtr> readers(bool validate = false) { return {int32_reader(), text_reader(validate)}; }

std::string shown(const data::Block& block) {
    std::string out;
    for (size_t i = 0; i < block.rows; ++i)
        out += fmt::format(
            "{}={} ", block.columns[0].values<int32_t>()[i],
            block.columns[1].valid(i) ? std::string(block.columns[1].values<data::StringRef>()[i].view()) : "NULL");
    return out;
}

TEST_CASE("rows are found however the stream is cut into messages") {
    std::string stream = header() + row(1, "one") + row(2, "a text longer than twelve bytes") + row(3, "") + trailer();
    auto layout = schema();
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        data::Block block(layout);
        CopyDecoder decoder(readers());
        decoder.restart();
        decoder.begin_block();
        std::string_view rest = stream;
        while (!rest.empty()) {
            size_t size = std::min<size_t>(rest.size(), 1 + random() % (round < 50 ? 3 : 60));
            REQUIRE(decoder.split(rest.substr(0, size), block));
            rest.remove_prefix(size);
        }
        CHECK(decoder.ended());
        std::vector<RefusedRow> refused;
        decoder.decode(block, refused);
        CHECK(refused.empty());
        CHECK(shown(block) == "1=one 2=a text longer than twelve bytes 3= ");
    }
}

TEST_CASE("a block takes its capacity and carries the rest") {
    std::string stream = header();
    for (int i = 0; i < 5000; ++i) stream += row(i, "x");
    auto layout = schema();
    data::Block block(layout);
    CopyDecoder decoder(readers());
    std::vector<RefusedRow> refused;
    REQUIRE(decoder.split(stream, block));
    size_t rows = 0;
    while (true) {
        decoder.decode(block, refused);
        rows += block.rows;
        if (!decoder.carries()) break;
        block.clear();
        decoder.begin_block();
        REQUIRE(decoder.split({}, block));
    }
    CHECK(rows == 5000);
}

TEST_CASE("refused rows are left out, named once, and can be looked at") {
    std::string stream = header() + row(1, "fine") + row(2, "bad \xff byte") + row(3, "fine too") + trailer();
    auto layout = schema();
    data::Block block(layout);
    CopyDecoder decoder(readers(true));
    REQUIRE(decoder.split(stream, block));
    std::vector<RefusedRow> refused;
    decoder.decode(block, refused);
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].row == 1);
    CHECK(refused[0].refusal.code == "invalid_utf8");
    CHECK(refused[0].refusal.reason == "byte 5 of 10 (0xff) is not valid UTF-8");
    std::string json;
    text_reader(true)->render(decoder.raw(1, 1), json);
    CHECK(json == R"("bad \\xff byte")");
    decoder.decode_rest(block, refused);
    CHECK(shown(block) == "1=fine 3=fine too ");
}

TEST_CASE("broken framing is an error, never a crash") {
    auto layout = schema();
    auto message = [&](const std::string& stream) {
        data::Block block(layout);
        CopyDecoder decoder(readers());
        auto status = decoder.split(stream, block);
        return status ? std::string("accepted") : status.error().message;
    };
    CHECK(message("PGCOPX") == "the server's COPY data cannot be understood: the signature is not PGCOPY");
    std::string three = header();
    put<int16_t>(three, 3);
    CHECK(message(three) == "the server's COPY data cannot be understood: a row has 3 fields instead of 2");
    std::string negative = header();
    put<int16_t>(negative, 2);
    put<int32_t>(negative, -7);
    CHECK(message(negative) == "the server's COPY data cannot be understood: a field has length -7");
    CHECK(message(header() + trailer() + "x") ==
          "the server's COPY data cannot be understood: bytes follow the trailer");
}

TEST_CASE("an array whose header lies is refused at once, and rendered as its bytes") {
    std::string array;
    for (int32_t word : {2, 0, 25, 2'000'000'000, 1, 0, 1}) put<int32_t>(array, word);
    data::Schema layout{{{.name = "a", .type = data::list_of(data::list_of(data::scalar(data::Kind::text)))}}};
    data::Block block(layout);
    auto reader = array_reader(text_reader(false), 2);
    ReadContext context{.block = block};
    FieldRef field{array.data(), static_cast<int32_t>(array.size())};
    CHECK(!reader->read(field, block.columns[0], 0, context));
    CHECK(context.refusal.code == "malformed");
    std::string json;
    reader->render(field, json);
    CHECK(json.starts_with("\"\\\\x00000002"));
}

}  // namespace
}  // namespace penstock::postgres
