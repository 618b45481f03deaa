#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/project.h"
#include "app/repairing.h"
#include "app/verifying.h"
#include "base/humane.h"

namespace penstock::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t most_repaired = 10'000;

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

}  // namespace

Result<int> command::verify(const Session& session) {
    const Options& options = session.options;
    VerifyRequest request{.most_told = options.max_differences};
    if (!options.table.empty()) request.tables.push_back(options.table);
    PN_CHECK(take_sample(options.sample, request));
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto pipeline, Pipeline::find(document, options.names.front()));
    // The apply of changes keeps what is newer by its position, and a row read again has none of its own.
    if (options.repair && pipeline.is_stream())
        return fail({.kind = ErrorKind::usage,
                     .code = "repair_not_available",
                     .message = fmt::format("{}: tables of a change stream are not repaired row by row in this version",
                                            pipeline.name()),
                     .hint = fmt::format("`penstock run {} --resnapshot TABLE` reads a table anew while the others "
                                         "stream on",
                                         pipeline.name())});
    // Every row that is to be read again must be known by its key.
    if (options.repair) request.most_told = most_repaired;
    PN_TRY(auto tables, verify_pipeline(document, pipeline, request, session.stop));
    int64_t repaired = 0;
    if (options.repair) {
        for (const auto& table : tables) repaired += table.outcome.total();
        PN_CHECK(repair(document, pipeline, tables, session.stop));
        if (repaired > 0) {
            PN_TRY(tables, verify_pipeline(document, pipeline, request, session.stop));
        }
    }
    bool equal = std::ranges::all_of(tables, &VerifiedTable::equal);
    if (session.json()) {
        Json list = Json::array();
        for (const auto& table : tables) list.push_back(verified_json(table, options.max_differences));
        bool complete = std::ranges::all_of(tables, &VerifiedTable::complete);
        Json answer = {{"pipeline", pipeline.name()}, {"equal", equal}, {"complete", complete}, {"tables", list}};
        if (options.repair) answer["repaired"] = repaired;
        PN_CHECK(print_json(answer));
    } else {
        if (repaired > 0) PN_CHECK(print(fmt::format("{} rows were read again\n", humane_count(repaired))));
        PN_CHECK(print(verified_text(tables, pipeline.is_stream(), options.max_differences)));
    }
    return equal ? 0 : exit_code(ErrorKind::check_failed);
}

}  // namespace penstock::app
