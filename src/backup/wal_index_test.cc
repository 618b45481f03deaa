#include "backup/wal_index.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace penstock::backup {
namespace {

constexpr uint64_t mib = uint64_t{1} << 20;

WalIndex indexed(const WalLayout& layout, const std::vector<std::string>& names) {
    std::vector<std::pair<std::string, uint64_t>> sized;
    for (const auto& name : names) sized.emplace_back(name, 100);
    return index_wal(layout, sized);
}

TEST_CASE("segments have PostgreSQL's names, whatever their size") {
    WalLayout usual, large{.segment_bytes = 64 * mib}, small{.segment_bytes = mib};
    CHECK(usual.segment_name(1, Lsn(3 * 16 * mib + 5)) == "000000010000000000000003");
    CHECK(usual.segment_name(2, Lsn(uint64_t{0x16B374D848})) == "0000000200000016000000B3");
    CHECK(large.segment_name(2, Lsn(uint64_t{0x16B374D848})) == "00000002000000160000002C");
    CHECK(small.segment_name(1, Lsn(uint64_t{0x1FFFFFFFF})) == "000000010000000100000FFF");
    for (const auto& layout : {usual, large, small}) {
        auto parsed = layout.parse_segment(layout.segment_name(7, Lsn(uint64_t{0x16B374D848})));
        REQUIRE(parsed);
        CHECK(parsed->first == 7);
        CHECK(parsed->second == layout.segment_start(Lsn(uint64_t{0x16B374D848})));
    }
    for (const auto* wrong : {"", "00000002.history", "000000010000000000000100", "000000000000000000000001",
                              "00000001000000000000000a", "0000000100000000000000010"})
        CHECK_FALSE(usual.parse_segment(wrong));
    CHECK(large.block_bytes() == 16 * mib);
    CHECK(small.block_bytes() == mib);
}

TEST_CASE("pieces are one stretch as long as each begins where another ended, or before") {
    WalLayout layout;
    const std::string three = "wal/00000001/000000010000000000000003/", four = "wal/00000001/000000010000000000000004/",
                      six = "wal/00000001/000000010000000000000006/", two = "wal/00000002/000000020000000000000004/";
    auto index = indexed(layout, {"wal/log.json", "wal/00000002.history", three + "begin", three + "00000000-00000100",
                                  three + "00000000-01000000", three + "00000100-01000000", four + "00000000-00000010",
                                  four + "00000010-00000020", four + "00000018-00000030", six + "00000000-01000000",
                                  two + "begin", "wal/00000002/000000020000000000000009/begin", four + "other",
                                  four + "00000030-00000030", four + "00000030-01000001"});
    REQUIRE(index.stretches.size() == 2);
    const auto& first = index.stretches[0];
    CHECK(first.begins);
    CHECK(first.from == 3 * 16 * mib);
    CHECK(first.to == 4 * 16 * mib + 0x30);
    CHECK(first.pieces.size() == 4);
    CHECK(index.superfluous.size() == 2);
    CHECK_FALSE(index.stretches[1].begins);
    CHECK(index.histories == std::set<uint32_t>{2});
    CHECK(index.empty_beginnings.size() == 2);
    CHECK(index.stretch(1, first.from) == &first);
    CHECK(index.stretch(1, first.to) == &first);
    CHECK(index.stretch(1, Lsn(first.to + 1)) == nullptr);
    CHECK(index.stretch(2, first.from) == nullptr);
    for (const auto& piece : first.pieces) {
        auto again = indexed(layout, {layout.piece_name(piece)});
        REQUIRE(again.stretches.size() == 1);
        CHECK(again.stretches[0].pieces == std::vector<WalPiece>{piece});
    }
}

}  // namespace
}  // namespace penstock::backup
