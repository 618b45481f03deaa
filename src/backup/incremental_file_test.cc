#include "backup/incremental_file.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

namespace penstock::backup {
namespace {

namespace fs = std::filesystem;
constexpr size_t block_bytes = 8192;

std::string number(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
std::string block(char with) { return std::string(block_bytes, with); }

std::string incremental(const std::map<uint32_t, char>& blocks, uint32_t shrunk_to) {
    std::string text = number(0xd3ae1f0d) + number(static_cast<uint32_t>(blocks.size())) + number(shrunk_to);
    for (const auto& [at, with] : blocks) text += number(at);
    if (!blocks.empty()) text.resize((text.size() + block_bytes - 1) / block_bytes * block_bytes);
    for (const auto& [at, with] : blocks) text += block(with);
    return text;
}

struct File {
    fs::path path = fs::temp_directory_path() / ("penstock-incremental-" + std::to_string(::getpid()));
    explicit File(const std::string& blocks) {
        std::ofstream out(path, std::ios::binary);
        for (char with : blocks) out << block(with);
    }
    ~File() { fs::remove(path); }
    /// A letter a block; "?" of one that is not of one letter.
    std::string blocks() const {
        std::ifstream in(path, std::ios::binary);
        std::string all{std::istreambuf_iterator<char>(in), {}}, out;
        for (size_t at = 0; at < all.size(); at += block_bytes) {
            auto one = all.substr(at, block_bytes);
            bool same = one == block(one.front());
            out += !same ? '?' : one.front() == '\0' ? '0' : one.front();
        }
        return out;
    }
    Status add(const std::string& text, size_t step) const {
        PN_TRY(auto changes, IncrementalFile::open(path, text.size()));
        for (size_t at = 0; at < text.size(); at += step)
            PN_CHECK(changes.add(std::string_view(text).substr(at, step)));
        return changes.finish();
    }
};

TEST_CASE("a file gets the blocks that changed, and the length that it has now") {
    for (size_t step : {1UL, 100UL, 8192UL, 100000UL}) {
        CAPTURE(step);
        File file("abcdef");
        REQUIRE(file.add(incremental({{1, 'X'}, {4, 'Y'}}, 6), step));
        CHECK(file.blocks() == "aXcdYf");
        REQUIRE(file.add(incremental({}, 6), step));
        CHECK(file.blocks() == "aXcdYf");
        REQUIRE(file.add(incremental({{7, 'Z'}}, 2), step));  // shrank to two, then grew to eight
        CHECK(file.blocks() == "aX00000Z");
        REQUIRE(file.add(incremental({}, 0), step));
        CHECK(file.blocks() == "");
    }
}

TEST_CASE("what PostgreSQL would not write is refused") {
    auto good = incremental({{1, 'X'}}, 6);
    auto refusal = [](const std::string& text) {
        File file("abcdef");
        auto done = file.add(text, 1000);
        return done ? std::string() : done.error().code;
    };
    CHECK(refusal(good).empty());
    CHECK(refusal("nothing of the kind") == "bad_incremental");
    CHECK(refusal(good.substr(0, 5)) == "bad_incremental");
    CHECK(refusal(good.substr(0, good.size() - 1)) == "bad_incremental");
    CHECK(refusal(good + "x") == "bad_incremental");
    CHECK(refusal(incremental({{1U << 20, 'X'}}, 6)) == "bad_incremental");
    CHECK(refusal(number(0xd3ae1f0d) + number(0xffffffff) + number(1)) == "bad_incremental");
    CHECK(IncrementalFile::open("/nowhere/at/all", 12).error().code == "bad_incremental");
}

TEST_CASE("any bytes end in an error or a file, never in a length that no table file has") {
    std::mt19937 random(11);
    for (int round = 0; round < 300; ++round) {
        auto text = incremental({{random() % 8, 'X'}, {8 + random() % 8, 'Y'}}, random() % 16);
        for (int changes = 0; changes < 3; ++changes) text[random() % 24] = static_cast<char>(random());
        File file("abcd");
        (void)file.add(text, 4096);
        CHECK(fs::file_size(file.path) <= (uint64_t{1} << 30));
    }
}

TEST_CASE("the path that a file has in the server") {
    CHECK(path_in_server("base/5/INCREMENTAL.1259") == "base/5/1259");
    CHECK(path_in_server("INCREMENTAL.x") == "INCREMENTAL.x");
    CHECK(path_in_server("mine/INCREMENTAL.x") == "mine/INCREMENTAL.x");
    CHECK(path_in_server("pg_tblspc/7/PG_18/5/INCREMENTAL.1") == "pg_tblspc/7/PG_18/5/1");
    CHECK(path_in_server("base/5/1259") == "base/5/1259");
}

}  // namespace
}  // namespace penstock::backup
