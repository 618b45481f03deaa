#include "connect/duckdb/newest_position.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::duckdb {
namespace {

using engine::quote_literal;

constexpr const char* remembered = "temp.main.penstock_newest";

}  // namespace

std::string NewestPosition::of_target() const { return fmt::format("target = {}", quote_literal(load_.target.name)); }

Result<bool> NewestPosition::is_before(const Changes& part) {
    PN_CHECK(
        load_.run(fmt::format("CREATE TEMP TABLE IF NOT EXISTS {} (target VARCHAR, position VARCHAR)", remembered)));
    std::string ask = fmt::format("SELECT position < {} FROM {} WHERE {}", quote_literal(part.first_position),
                                  remembered, of_target());
    PN_TRY(auto answer, load_.connection.query(ask));
    if (answer.empty()) {
        PN_CHECK(load_.run(fmt::format("INSERT INTO {} SELECT {}, coalesce(max({}), '') FROM {}", remembered,
                                       quote_literal(load_.target.name), flow::change::position, load_.into.quoted())));
        PN_TRY(answer, load_.connection.query(ask));
    }
    return answer.text(0, 0) == "true";
}

Status NewestPosition::move_to(const Changes& part) {
    PN_CHECK(load_.run(
        fmt::format("CREATE TEMP TABLE IF NOT EXISTS {0} (target VARCHAR, position VARCHAR); UPDATE {0} SET position = "
                    "greatest(position, {1}) WHERE {2}",
                    remembered, quote_literal(part.last_position), of_target())));
    return {};
}

Status NewestPosition::forget() {
    PN_CHECK(load_.run(
        fmt::format("CREATE TEMP TABLE IF NOT EXISTS {0} (target VARCHAR, position VARCHAR); DELETE FROM {0} WHERE {1}",
                    remembered, of_target())));
    return {};
}

}  // namespace penstock::duckdb
