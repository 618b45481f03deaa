#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "flow/scan.h"

namespace penstock::bench {

/// User and system time of this process.
inline double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](timeval time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Pulls one reader to its end, lending memory as a sink does.
inline Status drain(flow::Scan& scan) {
    PN_TRY(auto reader, scan.reader());
    data::Block block(scan.schema());
    while (true) {
        block.clear();
        PN_CHECK(reader->fill(block));
        if (block.rows == 0) return {};
    }
}

/// All of a scan, by so many threads; nobody takes the rows.
inline Status pull(flow::Scan& scan, unsigned threads) {
    std::vector<Status> ended(std::min(threads, std::max(scan.max_readers(), 1U)));
    {
        std::vector<std::jthread> pulling;
        for (auto& status : ended) pulling.emplace_back([&] { status = drain(scan); });
    }
    for (auto& status : ended) PN_CHECK(std::move(status));
    return {};
}

}  // namespace penstock::bench
