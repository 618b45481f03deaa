#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/text_table.h"
#include "base/ids.h"
#include "base/log.h"
#include "check/checked_source.h"
#include "check/evaluate.h"
#include "check/report.h"
#include "check/result_json.h"
#include "check/write_checks.h"
#include "config/node.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;
using Records = std::vector<flow::ValidationRecord>;

Error nothing_kept(const Pipeline& pipeline) {
    return {.kind = ErrorKind::usage,
            .code = "checks_not_kept",
            .message = fmt::format("the target of {} keeps nothing of checks, and cannot be asked about its tables",
                                   pipeline.name()),
            .hint = "`penstock runs ID` shows what the checks of a run have found"};
}

/// The ledger of a pipeline's target, as what answers about checks.
struct Opened {
    std::unique_ptr<flow::Ledger> ledger;
    flow::CheckedLedger* checked = nullptr;
};

Result<Opened> open(const Pipeline& pipeline) {
    Opened opened;
    PN_TRY(opened.ledger, pipeline.open_ledger());
    if (opened.ledger != nullptr) opened.checked = opened.ledger->checked();
    if (opened.checked == nullptr) return fail(nothing_kept(pipeline));
    return opened;
}

/// Those named; those with checks where none is.
Result<std::vector<Pipeline>> pipelines_with_checks(const config::Document& document,
                                                    const std::vector<std::string>& names) {
    PN_TRY(auto pipelines, select_pipelines(document, names));
    std::vector<Pipeline> some;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto all, pipeline.expectations());
        if (!all.empty()) some.push_back(pipeline);
        else if (!names.empty())
            return fail(Error{.kind = ErrorKind::usage,
                              .code = "no_checks",
                              .message = fmt::format("pipeline {} has no checks", pipeline.name()),
                              .hint = "add `checks:` to it; `penstock quality import` makes them of a suite"});
    }
    return some;
}

/// One table, as it is now. What is asked of a batch is asked of all of it.
Result<Records> ask_table(const Pipeline& pipeline, flow::CheckedLedger& ledger, const flow::BatchRecord& batch,
                          const std::string& run_id) {
    Records records;
    PN_TRY(auto table, ledger.asked(batch.target));
    if (!table)
        return fail(Error{.kind = ErrorKind::check_failed,
                          .code = "table_gone",
                          .message = fmt::format("{}: {} is not there, which run {} has loaded", pipeline.name(),
                                                 batch.target, batch.run_id),
                          .where = "table " + batch.target,
                          .hint = fmt::format("`penstock run {} --full-refresh` loads it anew", pipeline.name())});
    PN_TRY(auto all, pipeline.expectations());
    auto known = pipeline.reference({}).of(batch.source);
    auto of_table = known;
    known.past = {};  // a run's rows are not all of the table
    for (auto rows : {config::CheckedRows::batch, config::CheckedRows::table})
        for (auto& expectation : check::expectations_of(all, batch.source, rows)) {
            expectation.rows = config::CheckedRows::table;
            PN_TRY(auto validation,
                   check::evaluate(expectation, *table, rows == config::CheckedRows::table ? of_table : known));
            validation.table = batch.source;
            validation.target = batch.target;
            records.push_back({.pipeline = pipeline.name(),
                               .run_id = run_id,
                               .published = true,
                               .validation = std::move(validation)});
        }
    return records;
}

Result<Records> ask_pipeline(const Pipeline& pipeline) {
    Records records;
    auto run_id = new_run_id();
    PN_TRY(auto opened, open(pipeline));
    PN_TRY(auto batches, opened.ledger->checkpoints(pipeline.name()));
    for (const auto& batch : batches) {
        if (batch.source == flow::stream_row) continue;
        PN_TRY(auto some, ask_table(pipeline, *opened.checked, batch, run_id));
        records.insert(records.end(), some.begin(), some.end());
    }
    if (!records.empty()) PN_CHECK(opened.checked->add_validations(records));
    return records;
}

std::string text_of(const Records& records) {
    TextTable table({{.heading = "PIPELINE"},
                     {.heading = "TARGET"},
                     {.heading = "CHECK"},
                     {.heading = "RESULT"},
                     {.heading = "UNEXPECTED", .align = TextTable::Align::right},
                     {.heading = "OF", .align = TextTable::Align::right},
                     {.heading = "FOUND", .most = 60},
                     {.heading = "COMPARED WITH", .most = 90}});
    for (const auto& record : records) {
        const auto& one = record.validation;
        bool counted = one.element_count > 0;
        table.add({record.pipeline, one.target, one.check, one.success ? "passed" : "failed",
                   counted ? std::to_string(one.unexpected_count) : "",
                   counted ? std::to_string(one.element_count) : "",
                   one.success || one.unexpected_count == 0 ? one.observed : one.unexpected_sample, one.compared});
    }
    return table.text();
}

/// One validation result a run and table, in the order of the records.
Json results_of(const Records& records) {
    Json list = Json::array();
    Records group;
    auto flush = [&] {
        if (!group.empty())
            list.push_back(check::result_json(group.front().pipeline + "." + group.front().validation.table, group));
        group.clear();
    };
    for (const auto& record : records) {
        bool same = !group.empty() && group.front().run_id == record.run_id &&
                    group.front().published == record.published &&
                    group.front().validation.target == record.validation.target;
        if (!same) flush();
        group.push_back(record);
    }
    flush();
    return {{"validations", list}};
}

Error cannot_write(const std::string& file) {
    return {.kind = ErrorKind::refused,
            .code = "file_not_written",
            .message = fmt::format("{} cannot be written", file),
            .hint = "its folder must be there, and writable"};
}

/// A verdict without a question would be one that cannot fail.
Error nothing_asked(const std::vector<Pipeline>& pipelines) {
    return {.kind = ErrorKind::refused,
            .code = "nothing_asked",
            .message = pipelines.empty() ? "no pipeline has checks" : "no check was asked: no table was loaded yet",
            .hint = pipelines.empty() ? "add `checks:` to one; `penstock quality import` makes them of a suite"
                                      : fmt::format("`penstock run {}` loads them", pipelines.front().name())};
}

}  // namespace

Result<int> command::quality_run(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, pipelines_with_checks(document, session.options.names));
    Records records;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto some, ask_pipeline(pipeline));
        if (some.empty()) log::warning("{}: no check was asked, for it has loaded no table yet", pipeline.name());
        records.insert(records.end(), some.begin(), some.end());
    }
    if (records.empty()) return fail(nothing_asked(pipelines));
    PN_CHECK(session.json() ? print_json(results_of(records)) : print(text_of(records)));
    bool failed = std::ranges::any_of(
        records, [](const auto& record) { return !record.validation.success && record.validation.on_fail != "warn"; });
    return failed ? exit_code(ErrorKind::check_failed) : 0;
}

Result<int> command::quality_import(const Session& session) {
    PN_TRY(auto expectations, check::read_suite(session.options.names.front(), {}, {}));
    PN_CHECK(print(config::dump(check::write_checks(expectations))));
    return 0;
}

Result<int> command::quality_docs(const Session& session) {
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipelines, pipelines_with_checks(document, session.options.names));
    Records records;
    for (const auto& pipeline : pipelines) {
        PN_TRY(auto opened, open(pipeline));
        PN_TRY(auto some, opened.checked->validations(pipeline.name(), ""));
        records.insert(records.end(), some.begin(), some.end());
    }
    if (session.json()) {
        PN_CHECK(print_json(results_of(records)));
        return 0;
    }
    auto page = check::report_page(records, now());
    if (session.options.into.empty()) {
        PN_CHECK(print(page));
        return 0;
    }
    std::ofstream file(session.options.into, std::ios::binary);
    file << page;
    file.close();
    if (!file) return fail(cannot_write(session.options.into));
    return 0;
}

}  // namespace penstock::app
