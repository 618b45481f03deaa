// Penstock's own share of a copy: receive, decode and hand over into the memory a sink lends, with nobody taking the rows.
//
//     own_share postgres://… public.events [threads]
//
// Prints rows, bytes, wall and CPU seconds of this process. What a load costs beyond it is the server's and the target's.

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "connect/postgres/table_source.h"
#include "pulling.h"

namespace {

using namespace penstock;

Status copy(const char* url, const char* table, unsigned threads) {
    postgres::TableSourceOptions options;
    options.connection.url = Secret(url);
    options.connection.name = "bench";
    options.source.table.value = table;
    options.holds = {.infinite_dates = true, .end_of_day = true, .timetz = true, .interval = true};
    options.parallel = threads;
    options.purpose = "penstock/bench";
    postgres::TableSource source(std::move(options));
    PN_CHECK(source.discover({}));
    flow::Progress progress;
    flow::RejectLog rejects({});
    auto start = std::chrono::steady_clock::now();
    double cpu = bench::cpu_seconds();
    PN_CHECK(source.open({{.table = 0, .from = {}, .context = {progress, rejects, {}}}}));
    PN_TRY(auto segment, source.next());
    PN_CHECK(bench::pull(*segment->parts[0].scan, threads));
    std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    fmt::print("{} rows, {} bytes: {:.2f} s wall, {:.2f} s CPU of this process\n", progress.rows_read.load(),
               progress.bytes_read.load(), wall.count(), bench::cpu_seconds() - cpu);
    return {};
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        fmt::print(stderr, "usage: own_share URL TABLE [THREADS]\n");
        return 2;
    }
    auto status = copy(arguments[1], arguments[2], count > 3 ? static_cast<unsigned>(std::atoi(arguments[3])) : 2);
    if (!status) fmt::print(stderr, "{}\n", status.error().text());
    return status ? 0 : 1;
}
