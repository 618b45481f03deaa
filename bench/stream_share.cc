// Penstock's own share of a change stream: receive, decode, log, scan into the memory a sink lends, with nobody taking the rows.
//
//     stream_share postgres://… public.events SLOT PUBLICATION [threads]
//
// Drains the slot from where it stands to where the server is. Prints changes, bytes, wall and CPU seconds of this process.

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "connect/postgres/capture/change_source.h"
#include "pulling.h"

namespace {

using namespace penstock;

constexpr uint64_t memory = uint64_t{128} << 20;  // a source's share of the default budget

postgres::ChangeSourceOptions options_of(char** arguments, unsigned threads) {
    postgres::ChangeSourceOptions options;
    options.connection.url = Secret(arguments[0]);
    options.connection.name = "bench";
    auto& changes = options.source.changes.emplace();
    changes.tables.push_back({.value = arguments[1], .place = {}});
    changes.slot.value = arguments[2];
    changes.publication.value = arguments[3];
    changes.snapshot = postgres::SnapshotChoice::never;
    options.holds = {.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true};
    options.pipeline = "bench";
    options.purpose = "penstock/bench";
    options.parallel = threads;
    options.memory_bytes = memory;
    return options;
}

Status run(char** arguments, unsigned threads) {
    auto start = std::chrono::steady_clock::now();
    postgres::ChangeSource source(options_of(arguments, threads));
    PN_CHECK(source.discover({}));
    flow::Progress progress;
    flow::RejectLog rejects({});
    PN_CHECK(source.open({{.table = 0, .from = {}, .context = {progress, rejects, {}}}}));
    int segments = 0;
    while (true) {
        PN_TRY(auto segment, source.next());
        if (!segment) break;
        ++segments;
        for (auto& part : segment->parts) {
            PN_CHECK(bench::pull(*part.scan, threads));
            PN_TRY(auto checkpoint, part.scan->finish());
            PN_CHECK(source.confirm(part.table, checkpoint));
        }
    }
    std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    fmt::print("{} changes, {} bytes, {} segments: {:.2f} s wall, {:.2f} s CPU of this process\n",
               progress.rows_read.load(), progress.bytes_read.load(), segments, wall.count(), bench::cpu_seconds());
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 5) {
        fmt::print(stderr, "usage: stream_share URL TABLE SLOT PUBLICATION [THREADS]\n");
        return 2;
    }
    auto status = run(arguments + 1, count > 5 ? static_cast<unsigned>(std::atoi(arguments[5])) : 2);
    if (!status) fmt::print(stderr, "{}\n", status.error().text());
    return status ? 0 : 1;
}
