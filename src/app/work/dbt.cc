#include "app/work/dbt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/work/dbt_results.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/secret.h"
#include "check/json_of_node.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Nodes = std::vector<DbtNode>;

constexpr auto invocation_variable = "DBT_ENV_CUSTOM_ENV_PENSTOCK_TRY";  ///< dbt notes it in its artefacts
constexpr size_t most_told = 5;

std::filesystem::path whole(const std::filesystem::path& path) {
    return std::filesystem::absolute(path).lexically_normal();
}

std::filesystem::path artefacts_of(const config::DbtWork& dbt, const WorkTry& work) {
    return whole(dbt.project.value) / "target" / "penstock" / work.pipeline.name;
}

void add_list(std::vector<std::string>& words, std::string_view option, const std::vector<config::Text>& values) {
    if (values.empty()) return;
    words.emplace_back(option);
    for (const auto& value : values) words.push_back(value.value);
}

/// "model.shop.orders (models/orders.sql): what dbt says"
std::string told(const DbtNode& node) {
    auto message = node.message;
    message.erase(message.find_last_not_of(" \n") + 1);
    return redact(fmt::format("{}{}: {}", node.id, node.file.empty() ? "" : fmt::format(" ({})", node.file),
                              message.empty() ? node.status : message));
}

std::string told(const std::vector<const DbtNode*>& nodes) {
    std::string text;
    for (size_t i = 0; i < std::min(nodes.size(), most_told); ++i) text += "\n  " + told(*nodes[i]);
    if (nodes.size() > most_told) text += fmt::format("\n  and {} more", nodes.size() - most_told);
    return text;
}

flow::Validation validation_of(const DbtNode& test, const std::string& target) {
    bool warns = test.status == "warn";
    return {.table = test.of.empty() ? test.id : test.of,
            .target = target,
            .check = test.name.empty() ? test.id : test.name,
            .expectation = "dbt_" + test.kind,
            .column = test.column,
            .rows = "table",
            .severity = warns ? "warning" : "critical",
            .on_fail = warns ? "warn" : "stop",
            .success = test.status == "pass" || test.status == "success",
            .observed = Json{{"failures", test.failures}}.dump(),
            .unexpected_count = test.failures,
            .unexpected_sample = "[]",
            .kwargs = "{}",
            .result = "{}",
            .evaluated_at = now()};
}

/// What was built, with the tests of each.
std::vector<flow::TableResult> tables_of(const Nodes& nodes, const WorkTry& work) {
    std::vector<flow::TableResult> tables;
    for (const auto& node : nodes) {
        if (node.status != "success" || node.is_test() || node.relation.empty()) continue;
        flow::TableResult table;
        table.source = node.id;
        table.target = node.relation;
        table.counts.rows_read = table.counts.rows_written = node.rows;
        table.duration = std::chrono::duration<double>(node.seconds);
        tables.push_back(std::move(table));
    }
    for (const auto& node : nodes) {
        if (!node.is_test() || node.status == "skipped") continue;
        const auto& of = node.of.empty() ? node.id : node.of;
        auto table = std::ranges::find(tables, of, &flow::TableResult::source);
        if (table == tables.end()) {
            table = tables.insert(tables.end(), flow::TableResult());
            table->source = of;
        }
        table->validations.push_back({.pipeline = work.pipeline.name,
                                      .run_id = work.run_id,
                                      .published = true,
                                      .validation = validation_of(node, table->target)});
    }
    return tables;
}

std::string summary(const Nodes& nodes) {
    auto count = [&](auto&& holds) { return std::ranges::count_if(nodes, holds); };
    auto built = count([](const auto& node) { return !node.is_test() && node.status == "success"; });
    auto failed = count([](const auto& node) { return !node.is_test() && node.failed(); });
    auto skipped = count([](const auto& node) { return node.status == "skipped"; });
    auto tests = count([](const auto& node) { return node.is_test() && node.status != "skipped"; });
    auto passed = count([](const auto& node) { return node.is_test() && node.status == "pass"; });
    auto warned = count([](const auto& node) { return node.status == "warn"; });
    return fmt::format("{} built, {} failed, {} skipped; {} of {} tests passed, {} warned", built, failed, skipped,
                       passed, tests, warned);
}

bool is_locked_out(const std::string& text) { return text.find("Could not set lock on file") != text.npos; }

/// What the exit code and the nodes come to.
Status judge(const config::DbtWork& dbt, const WorkTry& work, const ProgramEnd& end, const Nodes& nodes) {
    std::vector<const DbtNode*> broken, negative;
    for (const auto& node : nodes) {
        if (node.failed()) broken.push_back(&node);
        if (node.status == "fail") negative.push_back(&node);
        if (node.status == "warn") log::warning("{}", told(node));
    }
    if (end.good() && broken.empty() && negative.empty()) return {};
    std::string what =
        nodes.empty() ? fmt::format("dbt {}", dbt.command) : fmt::format("dbt {} ({})", dbt.command, summary(nodes));
    const auto* first = !broken.empty() ? broken.front() : negative.empty() ? nullptr : negative.front();
    Error error{.kind = ErrorKind::refused, .code = "dbt_failed", .message = "", .where = dbt.project.place.text()};
    if (first != nullptr && !first->file.empty()) error.where = (whole(dbt.project.value) / first->file).string();
    error.hint = fmt::format("the SQL that dbt has run is below {}", (artefacts_of(dbt, work) / "run").string());
    if (first == nullptr) {
        error.message = fmt::format("{} {}", what, end.told());
        error.hint = "what dbt says is in the log; `dbt debug` in the project says more";
    } else if (broken.empty()) {
        error.kind = ErrorKind::check_failed;
        error.code = "dbt_test_failed";
        error.message = fmt::format("{}: {} of its tests failed{}", what, negative.size(), told(negative));
        return fail(std::move(error));
    } else {
        broken.insert(broken.end(), negative.begin(), negative.end());
        error.message = fmt::format("{}: {} failed{}", what, broken.size(), told(broken));
    }
    if (is_locked_out(error.message))
        error.hint =
            "another process has the DuckDB file open; with `connection`, `penstock serve` keeps its own runs "
            "from it meanwhile";
    bool again = end.signal == 0 && std::ranges::find(dbt.retry_on, end.code) != dbt.retry_on.end();
    if (again) error.kind = ErrorKind::unavailable;
    return fail(std::move(error));
}

}  // namespace

Program dbt_program(const config::DbtWork& dbt, const WorkTry& work) {
    bool is_path = dbt.program.value.find('/') != std::string::npos;
    auto program =
        is_path ? whole(config::relative_to_file(dbt.program.place, dbt.program.value)).string() : dbt.program.value;
    auto artefacts = artefacts_of(dbt, work).string();
    std::vector<std::string> words = {program,   "--no-use-colors", dbt.command, "--target-path",
                                      artefacts, "--log-path",      artefacts};
    if (!dbt.profiles.empty()) words.insert(words.end(), {"--profiles-dir", whole(dbt.profiles.value).string()});
    if (!dbt.target.empty()) words.insert(words.end(), {"--target", dbt.target.value});
    add_list(words, "--select", dbt.select);
    add_list(words, "--exclude", dbt.exclude);
    if (!dbt.vars.is_null()) words.insert(words.end(), {"--vars", check::json_of_node(dbt.vars).dump()});
    if (dbt.threads) words.insert(words.end(), {"--threads", std::to_string(*dbt.threads)});
    if (work.full_refresh && dbt.command != "test" && dbt.command != "snapshot") words.emplace_back("--full-refresh");
    return {.words = std::move(words),
            .folder = dbt.project.value,
            .variables = {},
            .place = dbt.program.place.line == 0 ? dbt.project.place.text() : dbt.program.place.text(),
            .tells_time = true};
}

Status run_dbt(const config::DbtWork& dbt, const WorkTry& work, std::vector<flow::TableResult>& tables,
               std::stop_token stop) {
    PN_TRY(auto program, program_of(work));
    auto invocation = new_run_id();  // each try's own
    program.variables[invocation_variable] = invocation;
    auto end = run_program(program, std::move(stop));
    // What was built before it was stopped is on record too.
    auto nodes = read_dbt_results(artefacts_of(dbt, work), invocation);
    if (nodes && *nodes) tables = tables_of(**nodes, work);
    if (!end) {
        if (end.error().code == "program_not_started")
            end.error().hint =
                "install dbt with the adapter of your warehouse (pip install dbt-core dbt-duckdb), and "
                "name it by `program` where it is not on the PATH";
        return fail(std::move(end.error()));
    }
    if (!nodes && end->good()) return fail(std::move(nodes.error()));
    auto known = nodes && *nodes ? std::move(**nodes) : Nodes();
    PN_CHECK(judge(dbt, work, *end, known));
    if (known.empty()) log::warning("dbt has done nothing: it says why, and `select` may name no node");
    else log::info("dbt: {}", summary(known));
    return {};
}

}  // namespace penstock::app
