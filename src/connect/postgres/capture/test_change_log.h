#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "connect/postgres/capture/change_log.h"

// What the tests of the change log share.
namespace penstock::postgres::change_log_test {

namespace fs = std::filesystem;

/// A log with its own folder, and what the file without a name takes of the disk in truth.
struct Fixture {
    explicit Fixture(size_t memory = size_t{64} << 20, uint64_t disk = uint64_t{1} << 30,
                     size_t block = size_t{1} << 20) {
        std::string pattern = (fs::temp_directory_path() / "penstock_change_log_XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        log =
            std::make_unique<ChangeLog>(ChangeLogOptions{.memory_bytes = memory,
                                                         .block_bytes = block,
                                                         .spill = {.directory = folder.string(), .limit_bytes = disk}});
    }
    ~Fixture() { fs::remove_all(folder); }

    uint64_t disk_in_truth() const {
        uint64_t total = 0;
        for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            struct stat file{};
            if (fs::read_symlink(entry.path(), gone).string().starts_with(folder.string()) &&
                ::stat(entry.path().c_str(), &file) == 0)
                total += static_cast<uint64_t>(file.st_blocks) * 512;
        }
        return total;
    }

    void add(uint32_t xid, uint32_t table, const std::string& text, uint32_t sub = 0) {
        REQUIRE(log->append(xid, sub, {.table = table, .op = 'c', .new_tuple = text}));
    }
    void commit(uint32_t xid, uint64_t lsn, int64_t time = 0) { REQUIRE(log->commit(xid, lsn, lsn + 8, time)); }
    ChangeSegment take(const SegmentLimits& limits = {}) {
        auto segment = log->take(limits);
        REQUIRE(segment);
        return std::move(*segment);
    }

    fs::path folder;
    std::unique_ptr<ChangeLog> log;
};

/// "table:lsn/ordinal op old>new", run by run.
inline std::vector<std::string> texts(ChangeSegment& segment) {
    std::vector<std::string> out;
    for (auto& run : segment.runs) {
        ChangeChunk chunk;
        while (true) {
            REQUIRE(run->next(chunk));
            if (chunk.records().empty()) break;
            for (const auto& record : chunk.records())
                out.push_back(fmt::format("{}:{}/{} {} {}>{}", run->table(), record.commit.lsn, record.ordinal,
                                          record.op, record.old_tuple, record.new_tuple));
        }
    }
    return out;
}

using Texts = std::vector<std::string>;

}  // namespace penstock::postgres::change_log_test
