#include "app/other_table.h"

#include <fmt/format.h>

#include "app/components.h"
#include "check/compare.h"
#include "check/dialect.h"
#include "config/spec_base.h"
#include "config/suggest.h"
#include "engine/scan_function.h"
#include "engine/sql.h"

namespace penstock::app {
namespace {

using config::Node;

constexpr uint64_t memory_bytes = uint64_t{64} << 20;

std::string connection_of(const config::PipelineConfig& pipeline, const Node& same_as) {
    const auto* named = same_as.find("connection");
    return named == nullptr || named->text.empty() ? pipeline.target_connection : named->text;
}

const config::Place& place_of(const Node& same_as) {
    const auto* named = same_as.find("connection");
    return named == nullptr ? same_as.place : named->place;
}

/// By the names of the connection's own SQL.
std::string query_on(std::string_view type, const Node& same_as, OtherTable::Asks asks) {
    const auto* dialect = check::dialect_named(type);
    auto quoted = [&](std::string_view name) {
        return dialect == nullptr ? engine::quote_identifier(name) : dialect->name(name);
    };
    return asks == OtherTable::Asks::any_row ? check::any_row_query(same_as, quoted)
                                             : check::other_query(same_as, quoted);
}

}  // namespace

OtherTable::OtherTable(const config::Document& document, const config::PipelineConfig& pipeline, const Node& same_as,
                       std::shared_ptr<flow::Purse> purse, Asks asks)
    : document_(document),
      same_as_(same_as),
      connection_(connection_of(pipeline, same_as)),
      asking_(pipeline),
      purse_(std::move(purse)) {
    const auto* connection = document.connection(connection_);
    if (connection == nullptr) return;
    auto query = Node::scalar(query_on(connection->type, same_as, asks), true);
    query.place = same_as.place;
    auto name = Node::scalar(connection_, true);
    name.place = place_of(same_as);
    asking_.source = Node::map({{"connection", name.place, name}, {"query", query.place, query}});
    asking_.source.place = same_as.place;
    asking_.source_connection = connection_;
    // Of the target it is only of interest where it is: its key is not a column of the answer.
    std::erase_if(asking_.target.entries, [](const auto& entry) { return entry.key != "connection"; });
}

Status OtherTable::validate() const {
    const auto* connection = document_.connection(connection_);
    if (connection == nullptr) {
        std::vector<std::string> names;
        for (const auto& one : document_.connections) names.push_back(one.name);
        return fail(check::mistake(place_of(same_as_), "unknown_connection",
                                   fmt::format("there is no connection '{}', which a check compares with{}",
                                               connection_, config::did_you_mean(connection_, names)),
                                   "name one of `connections`"));
    }
    const auto* component = find_component(connection->type);
    bool queried = component->build_source != nullptr && component->source_spec != nullptr &&
                   component->source_spec().find("query") != nullptr;
    if (queried) return {};
    return fail(check::mistake(
        place_of(same_as_), "connection_not_queried",
        fmt::format("connection '{}' is a {} one, which has no tables to compare with", connection_, connection->type),
        "name a connection that is read by SQL, or compare with `last` runs"));
}

Result<std::unique_ptr<flow::Source>> OtherTable::source() const {
    PN_CHECK(validate());
    const auto* connection = document_.connection(connection_);
    return find_component(connection->type)
        ->build_source({.pipeline = asking_,
                        .connection = connection->options,
                        .connection_name = connection_,
                        .directory = document_.directory,
                        .parallel = 1,
                        .memory_bytes = memory_bytes,
                        .purse = purse_});
}

Status OtherTable::price() const {
    PN_TRY(auto asked, source());
    auto found = asked->discover({});
    return found ? Status() : fail(std::move(found.error()).at(same_as_.place.text()));
}

Error OtherTable::not_a_number(const std::string& what) const {
    return {.kind = ErrorKind::data,
            .code = "not_one_number",
            .message = fmt::format("{} is not one number: {}", check::other_in_words(same_as_), what),
            .where = same_as_.place.text(),
            .hint = "the query must give one row with one number"};
}

Result<double> OtherTable::number(std::stop_token stop) const {
    PN_TRY(auto asked, source());
    auto tables = asked->discover(stop);
    if (!tables) return fail(std::move(tables.error()).at(same_as_.place.text()));
    flow::Progress progress;
    flow::RejectLog rejects({.stop = true});
    PN_CHECK(asked->open({{.table = 0, .from = {}, .context = {progress, rejects, stop}}}));
    PN_TRY(auto segment, asked->next());
    if (!segment || segment->parts.empty()) return fail(not_a_number("it has no rows"));
    PN_TRY(auto database, engine::Database::in_memory({.memory_limit_bytes = memory_bytes}));
    PN_TRY(auto connection, database.connect(stop));
    engine::LentScan lent(database, *segment->parts.front().scan);
    // A second row is enough to know that there is more than one.
    auto rows = connection.query(fmt::format("SELECT CAST(COLUMNS(*) AS VARCHAR) FROM {} LIMIT 2", lent.sql()));
    if (!rows) return fail(lent.original(std::move(rows.error())));
    if (rows->rows.size() != 1) return fail(not_a_number(rows->empty() ? "it has no rows" : "it has several rows"));
    if (rows->rows[0].size() != 1) return fail(not_a_number(fmt::format("it has {} columns", rows->rows[0].size())));
    const auto& text = rows->text(0, 0);
    char* end = nullptr;
    double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != 0) return fail(not_a_number(text.empty() ? "it is NULL" : "it is " + text));
    return value;
}

}  // namespace penstock::app
