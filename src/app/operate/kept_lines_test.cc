#include "app/operate/kept_lines.h"

#include <doctest/doctest.h>

#include <map>

using penstock::app::KeptLines;

namespace {

/// What the state would have.
struct Written {
    std::map<int64_t, std::string> lines;

    void take(KeptLines& from) {
        auto batch = from.batch();
        std::erase_if(lines, [&](const auto& one) { return one.first > batch.head && one.first < batch.tail; });
        for (auto& line : batch.lines) lines[line.number] = line.json;
        from.written(batch);
    }
    std::vector<int64_t> numbers() const {
        std::vector<int64_t> all;
        for (const auto& [number, text] : lines) all.push_back(number);
        return all;
    }
};

}  // namespace

TEST_CASE("kept lines: the first and the last stay, however often they are written") {
    for (int every : {1, 2, 3, 7, 100}) {
        KeptLines kept({2, 1000}, {3, 1000});
        Written written;
        for (int i = 1; i <= 20; ++i) {
            kept.add("line " + std::to_string(i));
            CHECK(kept.batch().lines.size() <= 5);
            if (i % every == 0) written.take(kept);
        }
        written.take(kept);
        CHECK(kept.empty());
        CHECK(written.numbers() == std::vector<int64_t>{1, 2, 18, 19, 20});
        CHECK(written.lines.at(18) == "line 18");
    }
}

TEST_CASE("kept lines: bytes are bounded too, and what was taken stays until it is written") {
    KeptLines kept({10, 10}, {10, 10});
    Written written;
    kept.add("12345");
    kept.add("123456");  // the head is full: it is 5 bytes, and this one is of the tail
    auto lost = kept.batch();
    kept.add("1234567");  // 13 bytes: the one before goes
    written.take(kept);
    CHECK(written.numbers() == std::vector<int64_t>{1, 3});
    CHECK(lost.lines.size() == 2);
    kept.add(std::string(100, 'x'));  // alone it stays, whatever its size
    written.take(kept);
    CHECK(written.numbers() == std::vector<int64_t>{1, 4});
    kept.add("1");
    written.take(kept);
    CHECK(written.numbers() == std::vector<int64_t>{1, 5});
}
