#include "app/http/api_views.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "app/operate/overview.h"
#include "app/own_process.h"
#include "app/project.h"
#include "app/run_history.h"
#include "app/run_log_view.h"
#include "base/letters.h"
#include "state/audit.h"

namespace penstock::app::http {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr std::chrono::seconds look_time{30};

constexpr size_t most_searched = 10'000;

/// Whether a rejected row has this text anywhere where people would look for it.
bool has(const Ordered& reject, const std::string& wanted) {
    for (const auto* name : {"reason", "code", "table", "column", "key", "payload"}) {
        const auto& value = reject[name];
        auto text = value.is_string() ? value.get<std::string>()
                                      : value.dump(-1, ' ', false, Ordered::error_handler_t::replace);
        if (!value.is_null() && lower_case(text).find(wanted) != std::string::npos) return true;
    }
    return false;
}

Result<state::RunRecord> run_in(const ApiCall& call) {
    PN_TRY(auto store, look_at_state(call.document));
    std::optional<state::RunRecord> record;
    if (store) {
        PN_TRY(record, store->run(call.text("run")));
    }
    if (record) return std::move(*record);
    return fail(not_found(fmt::format("there is no run '{}' in the history", call.text("run"))));
}

}  // namespace

Error not_found(std::string what) {
    return {.kind = ErrorKind::usage, .code = "not_found", .message = std::move(what)};
}

std::string ApiCall::text(std::string_view name) const {
    auto found = texts.find(name);
    return found == texts.end() ? "" : found->second;
}
int64_t ApiCall::whole(std::string_view name) const {
    auto found = wholes.find(name);
    return found == wholes.end() ? 0 : found->second;
}
bool ApiCall::truth(std::string_view name) const {
    auto found = truths.find(name);
    return found != truths.end() && found->second;
}

Result<Ordered> show_open_api(const ApiCall&) { return open_api(api_routes()); }

Result<Ordered> show_me(const ApiCall& call) { return Ordered{{"name", call.actor}, {"role", call.text("role")}}; }

Result<Ordered> list_pipelines(const ApiCall& call) { return overview(call.document); }

Result<Ordered> show_pipeline(const ApiCall& call) {
    PN_TRY(auto all, overview(call.document));
    for (auto& one : all["pipelines"])
        if (one["pipeline"] == call.text("pipeline")) return std::move(one);
    return fail(not_found(fmt::format("there is no pipeline '{}'", call.text("pipeline"))));
}

Result<Ordered> list_runs(const ApiCall& call) {
    Ordered list = Ordered::array();
    PN_TRY(auto store, look_at_state(call.document));
    if (!store) return Ordered{{"runs", list}};
    PN_TRY(auto records,
           store->runs(static_cast<int>(call.whole("limit")), call.text("pipeline"), call.text("before")));
    for (const auto& record : records) list.push_back(record_json(record));
    return Ordered{{"runs", list}};
}

Result<Ordered> show_run(const ApiCall& call) {
    PN_TRY(auto record, run_in(call));
    return record_json(record);
}

Result<Ordered> show_run_log(const ApiCall& call) {
    PN_TRY(auto record, run_in(call));
    return run_log_json(call.document, record, call.whole("after"), static_cast<int>(call.whole("limit")));
}

/// Paged by taking what is before the page, too: lists end at ten thousand.
Result<Ordered> list_rejects(const ApiCall& call) {
    auto offset = static_cast<size_t>(call.whole("offset")), limit = static_cast<size_t>(call.whole("limit"));
    auto search = lower_case(call.text("search"));
    auto most = search.empty() ? offset + limit + 1 : most_searched;
    std::vector<std::string> command = {"rejects", "list", "--most", std::to_string(most)};
    if (auto table = call.text("table"); !table.empty()) command.push_back("--table=" + table);
    command.push_back(call.text("pipeline"));
    PN_TRY(auto all, ask_own(call.session, command, look_time));
    Ordered page = Ordered::array();
    auto& found = all["rejects"];
    if (!search.empty())
        std::erase_if(found.get_ref<Ordered::array_t&>(), [&](const auto& one) { return !has(one, search); });
    for (size_t i = offset; i < found.size() && page.size() < limit; ++i) page.push_back(found[i]);
    return Ordered{{"rejects", page}, {"more", found.size() > offset + limit}};
}

Result<Ordered> list_schema(const ApiCall& call) {
    return ask_own(call.session, {"schema", "history", "--pipeline", call.text("pipeline"), "--", call.text("table")},
                   look_time);
}

Result<Ordered> list_slots(const ApiCall& call) { return ask_own(call.session, {"slots", "list"}, look_time); }

Result<Ordered> list_audit(const ApiCall& call) {
    PN_TRY(auto audit, state::Audit::open(call.document.state.reveal(), call.document.state_directory));
    PN_TRY(auto deeds, audit.newest(static_cast<int>(call.whole("limit")), call.text("before")));
    Ordered list = Ordered::array();
    for (const auto& deed : deeds) {
        auto detail = Ordered::parse(deed.detail, nullptr, false);
        list.push_back({{"id", deed.id},
                        {"at", iso_time(deed.at)},
                        {"actor", deed.actor},
                        {"role", deed.role},
                        {"action", deed.action},
                        {"subject", deed.subject},
                        {"asked", detail.is_discarded() ? Ordered(nullptr) : detail},
                        {"status", deed.status == 0 ? Ordered(nullptr) : Ordered(deed.status)}});
    }
    return Ordered{{"audit", list}};
}

}  // namespace penstock::app::http
