#include "backup/part.h"

#include <doctest/doctest.h>

#include "backup/key.h"

namespace penstock::backup {
namespace {

TEST_CASE("keys are 32 bytes in one of two spellings") {
    std::string digits(64, 'a');
    auto key = Key::parse(Secret(digits), "penstock.yaml:1:1");
    REQUIRE(key);
    CHECK(key->bytes() == std::string(32, '\xaa'));
    auto same = Key::parse(Secret("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo="), "");
    REQUIRE(same);
    CHECK(same->fingerprint() == key->fingerprint());
    CHECK(key->fingerprint().size() == 16);
    for (const auto* text : {"", "secret", "aa", "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq=x"})
        CHECK(Key::parse(Secret(text), "penstock.yaml:1:1").error().where == "penstock.yaml:1:1");
    CHECK(!Key::parse(Secret(std::string(63, 'a') + "g"), ""));
}

TEST_CASE("what is sealed opens with the same key and context, every bit being as it was") {
    Key key = Key::random();
    for (const std::string& plain : {std::string(), std::string("a"), std::string(1000, '\0')}) {
        std::string sealed = key.seal(plain, "context");
        CHECK(key.open(sealed, "context") == plain);
        CHECK(!key.open(sealed, "Context"));
        CHECK(!Key::random().open(sealed, "context"));
        CHECK(key.seal(plain, "context") != sealed);
        for (size_t i = 0; i < sealed.size() * 8; ++i) {
            std::string other = sealed;
            other[i / 8] = static_cast<char>(other[i / 8] ^ (1 << i % 8));
            REQUIRE(!key.open(other, "context"));
        }
        for (size_t size = 0; size < sealed.size(); ++size) REQUIRE(!key.open(sealed.substr(0, size), "context"));
    }
}

TEST_CASE("a part is what it was, or it is damaged") {
    Key key = Key::random();
    for (const std::string& raw : {std::string(), std::string("rows"), std::string(part_bytes, 'x')}) {
        auto packed = pack_part(raw, key, "parts/b/base/000000");
        REQUIRE(packed);
        CHECK(packed->size() < 4096);
        CHECK(*unpack_part(*packed, key, "parts/b/base/000000", "file:x") == raw);
        auto moved = unpack_part(*packed, key, "parts/b/base/000001", "file:x");
        CHECK(moved.error().code == "backup_damaged");
        CHECK(moved.error().message.starts_with("file:x is damaged"));
        std::string other = *packed;
        other.front() ^= 1;
        CHECK(!unpack_part(other, key, "parts/b/base/000000", "file:x"));
    }
    CHECK(!unpack_part("", key, "n", "file:x"));
}

}  // namespace
}  // namespace penstock::backup
