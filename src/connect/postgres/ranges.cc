#include "connect/postgres/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/humane.h"

namespace penstock::postgres {
namespace {

/// Each range is this part of a reader's share of what is left, so that the last ones are small and the readers end together;
/// fewer pages than this are not worth a round trip.
constexpr int64_t part_of_share = 4;
constexpr int64_t fewest_pages = 512;
/// Fewer pages than this are counted in less time than it takes to plan how.
constexpr int64_t counted_pages = 32;

std::string copy(const TableRead& read, const Leaf* leaf, const std::string& condition, const std::string& pages,
                 int64_t limit) {
    std::string bound = limit >= 0 ? fmt::format(" LIMIT {}", limit) : "";
    return fmt::format("COPY (SELECT {} FROM {}{}{}) TO STDOUT (FORMAT binary)", read.select_list(), read.from(leaf),
                       read.where_clause({condition, pages}), bound);
}

void add_whole(const RangeRequest& request, const Leaf* leaf, std::vector<Range>& out) {
    std::string name = leaf == nullptr ? request.read.info.name : leaf->schema + "." + leaf->name;
    out.push_back({copy(request.read, leaf, request.condition, "", request.limit), std::move(name)});
}

void add_pages(const RangeRequest& request, const Leaf& leaf, std::vector<Range>& out) {
    int64_t parts = static_cast<int64_t>(request.parallel) * part_of_share;
    int64_t size = 0;
    for (int64_t first = 0; first == 0 || first < leaf.pages; first += size) {
        size = std::max(fewest_pages, (leaf.pages - first) / parts);
        // The last range has no end: pages may have been added since they were counted.
        bool last = first + size >= leaf.pages;
        std::string pages = fmt::format("ctid >= '({},0)'::tid", first);
        if (!last) pages += fmt::format(" AND ctid < '({},0)'::tid", first + size);
        out.push_back({copy(request.read, &leaf, request.condition, pages, -1),
                       fmt::format("{}.{} pages {} to {}", leaf.schema, leaf.name, humane_count(first),
                                   last ? "the end" : humane_count(first + size - 1))});
    }
}

bool mentions_index(const nlohmann::json& plan) {
    if (auto type = plan.find("Node Type"); type != plan.end()) {
        std::string name = *type;
        if (name.find("Index") != std::string::npos || name.find("Bitmap") != std::string::npos) return true;
    }
    if (auto inner = plan.find("Plans"); inner != plan.end())
        return std::ranges::any_of(*inner, [](const auto& part) { return mentions_index(part); });
    return false;
}

/// The planner takes a table it has no statistics of for ten pages full of rows, also when it is empty.
Result<bool> is_guess(const TableRead& read, Session& session) {
    int64_t pages = 0;
    std::string oids;
    for (const auto& leaf : read.leaves) {
        if (!leaf.heap) return false;
        pages += leaf.pages;
        oids += fmt::format("{}{}", oids.empty() ? "" : ", ", leaf.oid);
    }
    if (read.leaves.empty() || read.inherits || pages >= counted_pages) return false;
    PN_TRY(
        auto rows,
        session.query(fmt::format(
            "SELECT count(*) FROM pg_catalog.pg_class WHERE oid IN ({}) AND relpages = 0 AND reltuples <= 0", oids)));
    return rows.integer(0, 0) > 0;
}

Result<int64_t> count_rows(const TableRead& read, const std::string& condition, Session& session) {
    PN_TRY(auto rows,
           session.query(fmt::format("SELECT count(*) FROM {}{}", read.from(nullptr), read.where_clause({condition}))));
    return rows.integer(0, 0);
}

}  // namespace

Result<Estimate> estimate(const TableRead& read, const std::string& condition, Session& session) {
    PN_TRY(auto rows, session.query(fmt::format("EXPLAIN (FORMAT json) SELECT {} FROM {}{}", read.select_list(),
                                                read.from(nullptr), read.where_clause({condition}))));
    auto json = nlohmann::json::parse(rows.text(0, 0), nullptr, false);
    if (!json.is_array() || json.empty() || !json[0].contains("Plan")) return Estimate{};
    const auto& plan = json[0]["Plan"];
    int64_t count = plan.value("Plan Rows", int64_t{-1});
    PN_TRY(bool guess, is_guess(read, session));
    if (guess) {
        PN_TRY(count, count_rows(read, condition, session));
    }
    return Estimate{
        .rows = count, .bytes = count * plan.value("Plan Width", int64_t{0}), .by_index = mentions_index(plan)};
}

Result<std::vector<Range>> divide(const RangeRequest& request, Session& session) {
    std::vector<Range> out;
    const auto& read = request.read;
    bool whole = !read.query.empty() || read.inherits || request.limit >= 0;
    if (whole) {
        add_whole(request, nullptr, out);
        return out;
    }
    bool by_index = false;
    if (!request.condition.empty() || !read.where.empty()) {
        PN_TRY(auto expected, estimate(read, request.condition, session));
        by_index = expected.by_index;
    }
    for (const auto& leaf : read.leaves) {
        bool seekable = leaf.heap && session.server_version() >= 140000 && leaf.pages > fewest_pages;
        if (seekable && !by_index) add_pages(request, leaf, out);
        else add_whole(request, &leaf, out);
    }
    return out;
}

}  // namespace penstock::postgres
