#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/comparisons.h"
#include "app/operate/courier.h"
#include "app/operate/news.h"
#include "app/output.h"
#include "app/project.h"
#include "app/repairing.h"
#include "app/schedule/backup_jobs.h"
#include "app/verifying.h"
#include "base/humane.h"
#include "base/log.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t most_repaired = 10'000;
constexpr int64_t most_parts = 1'000;
constexpr std::string_view next = "next";

/// A fraction below 1 ("0.01"), a share ("1%") or a number of rows.
Status take_sample(const std::string& text, VerifyRequest& request) {
    if (text.empty()) return {};
    double value = 0;
    const char* end = text.data() + text.size();
    bool share = text.ends_with('%');
    auto [stop, failed] = std::from_chars(text.data(), share ? end - 1 : end, value);
    bool whole = stop == (share ? end - 1 : end) && failed == std::errc() && value > 0;
    if (share) value /= 100;
    if (!whole || (share && value > 1) || (value > 1 && value != static_cast<double>(static_cast<int64_t>(value))))
        return fail({.kind = ErrorKind::usage,
                     .code = "bad_sample",
                     .message = fmt::format("--sample '{}' is neither a fraction nor a number of rows", text),
                     .hint = "write 0.01, 1% or 100000"});
    if (share || value <= 1) request.fraction = value;
    else request.sample_rows = static_cast<int64_t>(value);
    return {};
}

/// "3/24". What is next is not known before the configuration is.
Status take_part(const Options& options, VerifyRequest& request) {
    const auto& text = options.part;
    if (text.empty() || (text == next && options.sample.empty())) return {};
    auto slash = text.find('/');
    auto whole = [](std::string_view digits, int64_t& into) {
        auto [stop, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), into);
        return stop == digits.data() + digits.size() && failed == std::errc();
    };
    auto& part = request.part;
    bool good = slash != text.npos && whole(text.substr(0, slash), part.number) &&
                whole(text.substr(slash + 1), part.of) && part.number >= 1 && part.number <= part.of &&
                part.of <= most_parts;
    if (good && options.sample.empty()) return {};
    return fail(
        {.kind = ErrorKind::usage,
         .code = "bad_part",
         .message = good ? "--part and --sample are two ways to compare less"
                         : fmt::format("--part '{}' is no part of all keys", text),
         .hint = good ? "give one of them" : fmt::format("write 3/24 for the third of 24; at most {}", most_parts)});
}

Result<VerifyRequest> read_request(const Options& options) {
    VerifyRequest request{.most_told = options.max_differences};
    if (!options.table.empty()) request.tables.push_back(options.table);
    PN_CHECK(take_sample(options.sample, request));
    PN_CHECK(take_part(options, request));
    // Every row that is to be read again must be known by its key.
    if (options.repair) request.most_told = most_repaired;
    return request;
}

/// The apply of changes keeps what is newer by its position, and a row read again has none of its own.
Error not_repaired(const std::string& pipeline) {
    return {
        .kind = ErrorKind::usage,
        .code = "repair_not_available",
        .message = fmt::format("{}: tables of a change stream are not repaired row by row in this version", pipeline),
        .hint = fmt::format("`penstock run {} --resnapshot TABLE` reads a table anew while the others stream on",
                            pipeline)};
}

/// For status, metrics, and the part that comes next.
void keep_findings(const config::Document& document, const std::string& pipeline, const VerifyRequest& request,
                   const std::vector<VerifiedTable>& tables) {
    if (!request.tables.empty() || request.fraction < 1 || request.sample_rows > 0) return;
    int64_t differences = 0;
    for (const auto& table : tables) differences += table.there ? table.outcome.total() + table.undecided : 1;
    if (auto kept = record_comparison(document, pipeline, request.part, differences); !kept)
        log::warning("status and metrics do not know of the comparison: {}", kept.error().message);
}

Status show(const Session& session, const Pipeline& pipeline, const VerifyRequest& request,
            const std::vector<VerifiedTable>& tables, int64_t repaired) {
    const Options& options = session.options;
    if (!session.json()) {
        if (!request.part.all())
            PN_CHECK(print(fmt::format("part {} of {} of the keys\n", request.part.number, request.part.of)));
        if (repaired > 0) PN_CHECK(print(fmt::format("{} rows were read again\n", humane_count(repaired))));
        return print(verified_text(tables, pipeline.is_stream(), options.max_differences));
    }
    Json list = Json::array();
    for (const auto& table : tables) list.push_back(verified_json(table, options.max_differences));
    Json answer = {{"pipeline", pipeline.name()},
                   {"equal", std::ranges::all_of(tables, &VerifiedTable::equal)},
                   {"complete", std::ranges::all_of(tables, &VerifiedTable::complete)}};
    if (!request.part.all()) answer["part"] = {{"number", request.part.number}, {"of", request.part.of}};
    answer["tables"] = list;
    if (options.repair) answer["repaired"] = repaired;
    return print_json(answer);
}

/// Nobody reads what a scheduled one prints.
void tell(const Session& session, const config::Document& document, const config::PipelineConfig& pipeline,
          const std::vector<std::string>& why) {
    const auto& token = session.options.interval;
    if (token.empty()) return;
    for (const auto& line : why) log::error("{}", line);
    News(document).verify_failed(pipeline, token, why);
    carry_news(document, session.stop);
}

Result<int> compare(const Session& session, const config::Document& document, Pipeline& pipeline,
                    const VerifyRequest& request) {
    PN_TRY(auto tables, verify_pipeline(document, pipeline, request, session.stop));
    int64_t repaired = 0;
    if (session.options.repair) {
        for (const auto& table : tables) repaired += table.outcome.total();
        PN_CHECK(repair(document, pipeline, tables, session.stop));
        if (repaired > 0) {
            PN_TRY(tables, verify_pipeline(document, pipeline, request, session.stop));
        }
    }
    keep_findings(document, pipeline.name(), request, tables);
    PN_CHECK(show(session, pipeline, request, tables, repaired));
    std::vector<std::string> unequal;
    for (const auto& table : tables)
        if (!table.equal()) unequal.push_back(verdict(table));
    if (unequal.empty()) return 0;
    tell(session, document, pipeline.config(), unequal);
    return exit_code(ErrorKind::check_failed);
}

}  // namespace

Result<int> command::verify(const Session& session) {
    PN_TRY(auto request, read_request(session.options));
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipeline, Pipeline::find(document, session.options.names.front()));
    if (session.options.repair && pipeline.is_stream()) return fail(not_repaired(pipeline.name()));
    const auto& verify = document.scheduling_of(pipeline.config()).verify;
    auto run = [&]() -> Result<int> {
        if (session.options.part == next) {
            PN_TRY(request.part, next_part(document, pipeline.name(), verify ? verify->parts : 1));
        }
        return compare(session, document, pipeline, request);
    };
    auto failed = [&](const Error& error) { tell(session, document, pipeline.config(), {error.text()}); };
    return in_interval(session, document, run, failed);
}

}  // namespace penstock::app
