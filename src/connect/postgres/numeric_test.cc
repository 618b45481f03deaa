#include "connect/postgres/numeric.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <random>

namespace penstock::postgres {
namespace {

void put(std::string& out, uint16_t value) {
    value = std::byteswap(value);
    out.append(reinterpret_cast<const char*>(&value), 2);
}

/// numeric_send of a decimal text, worked out the long way round.
std::string wire_of(std::string text) {
    bool negative = text[0] == '-';
    if (negative) text.erase(0, 1);
    size_t point = text.find('.');
    std::string whole = text.substr(0, point), fraction = point == text.npos ? "" : text.substr(point + 1);
    auto scale = static_cast<uint16_t>(fraction.size());
    while (whole.size() % 4 != 0) whole.insert(0, "0");
    while (fraction.size() % 4 != 0) fraction += '0';
    std::vector<uint16_t> groups;
    for (size_t i = 0; i < (whole + fraction).size(); i += 4)
        groups.push_back(static_cast<uint16_t>(std::stoi((whole + fraction).substr(i, 4))));
    int weight = static_cast<int>(whole.size() / 4) - 1;
    while (!groups.empty() && groups.front() == 0) groups.erase(groups.begin()), --weight;
    while (!groups.empty() && groups.back() == 0) groups.pop_back();
    std::string out;
    put(out, static_cast<uint16_t>(groups.size()));
    put(out, static_cast<uint16_t>(groups.empty() ? 0 : weight));
    put(out, negative ? 0x4000 : 0);
    put(out, scale);
    for (auto group : groups) put(out, group);
    return out;
}

std::string digits_of(data::Int128 value) {
    bool negative = value < 0;
    std::string out;
    do {
        int digit = static_cast<int>(value % 10);
        out.insert(0, 1, static_cast<char>('0' + (digit < 0 ? -digit : digit)));
        value /= 10;
    } while (value != 0);
    return negative ? "-" + out : out;
}

TEST_CASE("text is PostgreSQL's own") {
    for (std::string text :
         {"0", "0.00", "1", "-1", "12.340", "10000", "99990000", "0.0001", "-0.00012", "100000000000000000000.5",
          "1234567890.123456789", "0.000000000000000000000000000000000001",
          "123456789012345678901234567890123456789012345678901234567890.12"}) {
        auto bytes = wire_of(text);
        auto value = Numeric::parse(bytes);
        REQUIRE(value);
        CHECK(value->text() == text);
    }
}

TEST_CASE("scaled values are exact or nothing") {
    auto scaled = [](const std::string& text, int precision, int scale) {
        auto bytes = wire_of(text);
        auto value = Numeric::parse(bytes)->scaled(precision, scale);
        return value ? digits_of(*value) : std::string("none");
    };
    CHECK(scaled("12.34", 12, 2) == "1234");
    CHECK(scaled("-12.3", 12, 2) == "-1230");
    CHECK(scaled("12.345", 12, 2) == "none");
    CHECK(scaled("0.00", 4, 2) == "0");
    CHECK(scaled("9999999999.99", 12, 2) == "999999999999");
    CHECK(scaled("10000000000", 12, 2) == "none");
    CHECK(scaled("99999999999999999999999999999.999999999", 38, 9) == "99999999999999999999999999999999999999");
    CHECK(scaled("100000000000000000000000000000", 38, 9) == "none");
    CHECK(scaled("99999999999999999999999999999999999999", 38, 0) == "99999999999999999999999999999999999999");
    CHECK(scaled("100000000000000000000000000000000000000", 38, 0) == "none");
    CHECK(scaled("0.00000000000000000000000000000000000001", 38, 38) == "1");
    CHECK(scaled("0.000000000000000000000000000000000000001", 38, 38) == "none");
    CHECK(scaled(std::string(131072, '9'), 38, 9) == "none");
}

TEST_CASE("a reason names the value's own measure") {
    auto measure = [](const std::string& text) {
        auto bytes = wire_of(text);
        auto value = Numeric::parse(bytes);
        return fmt::format("{},{}", value->precision(), value->scale());
    };
    CHECK(measure("0") == "1,0");
    CHECK(measure("12.340") == "4,2");
    CHECK(measure("0.001") == "1,3");
    CHECK(measure("100") == "3,0");
    CHECK(measure("12345.6789012") == "12,7");
    CHECK(measure(std::string(78, '7')) == "78,0");
}

TEST_CASE("random decimals come back exactly") {
    unsigned seed = std::random_device{}();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 20000; ++round) {
        int precision = 1 + static_cast<int>(random() % 38),
            scale = static_cast<int>(random() % static_cast<unsigned>(precision + 1));
        std::string digits;
        for (int i = 0; i < precision; ++i) digits += static_cast<char>('0' + random() % 10);
        std::string text = digits.substr(0, static_cast<size_t>(precision - scale));
        text.erase(0, std::min(text.find_first_not_of('0'), text.size()));
        if (text.empty()) text = "0";
        if (scale > 0) text += "." + digits.substr(static_cast<size_t>(precision - scale));
        auto bytes = wire_of(text);
        auto value = Numeric::parse(bytes);
        REQUIRE(value);
        auto scaled = value->scaled(precision, scale);
        REQUIRE(scaled);
        std::string wanted = digits;
        wanted.erase(0, std::min(wanted.find_first_not_of('0'), wanted.size() - 1));
        CHECK(digits_of(*scaled) == wanted);
        CHECK(value->text() == text);
    }
}

TEST_CASE("the short way agrees with the long one") {
    unsigned seed = std::random_device{}();
    INFO("seed ", seed);
    std::mt19937 random(seed);
    int taken = 0;
    for (int round = 0; round < 200000; ++round) {
        std::string bytes;
        put(bytes, static_cast<uint16_t>(random() % 5));
        put(bytes, static_cast<uint16_t>(static_cast<int>(random() % 9) - 4));
        put(bytes, random() % 8 == 0 ? static_cast<uint16_t>(random()) : random() % 2 == 0 ? 0x4000 : 0);
        put(bytes, static_cast<uint16_t>(random() % 8));
        for (int i = random() % 8 == 0 ? static_cast<int>(random() % 5) : static_cast<uint8_t>(bytes[1]); i > 0; --i)
            put(bytes, static_cast<uint16_t>(random() % 3 == 0 ? random() % 10 * 1000 : random() % 10100));
        int precision = 1 + static_cast<int>(random() % 18),
            scale = static_cast<int>(random() % static_cast<unsigned>(precision + 1));
        int64_t limit = 1;
        for (int i = 0; i < precision; ++i) limit *= 10;
        auto small = Numeric::scaled_small(bytes, scale, limit);
        if (!small) continue;
        ++taken;
        auto value = Numeric::parse(bytes);
        REQUIRE(value);
        auto scaled = value->scaled(precision, scale);
        REQUIRE(scaled);
        CHECK(*scaled == *small);
    }
    CHECK(taken > 10000);
    CHECK(Numeric::scaled_small(wire_of("-1234567.89"), 2, 1'000'000'000) == -123456789);
    CHECK(!Numeric::scaled_small(wire_of("12345678.90"), 2, 1'000'000'000));
    CHECK(!Numeric::scaled_small(wire_of("0.001"), 2, 1'000'000'000));
}

TEST_CASE("bytes that are no numeric are refused") {
    std::mt19937 random(3);
    for (int round = 0; round < 100000; ++round) {
        std::string bytes(random() % 40, '\0');
        for (auto& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : 0);
        if (auto value = Numeric::parse(bytes)) {
            value->scaled(38, 9);
            value->precision();
        }
    }
    CHECK(!Numeric::parse("abc"));
}

}  // namespace
}  // namespace penstock::postgres
