#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/backup_place.h"
#include "app/commands.h"
#include "app/output.h"
#include "backup/prune.h"
#include "base/clock.h"
#include "base/humane.h"
#include "base/log.h"

namespace penstock::app {
namespace {

std::string prune_text(const backup::PrunePlan& plan, bool dry) {
    if (plan.empty()) return "nothing to remove\n";
    std::string text;
    const auto* verb = dry ? "would remove" : "removed";
    for (const auto& id : plan.what.backups) text += fmt::format("{} backup {}\n", verb, id);
    for (const auto& id : plan.leftovers) text += fmt::format("{} what a killed run left: {}\n", verb, id);
    if (!plan.what.pieces.empty())
        text += fmt::format("{} {} of log\n", verb,
                            humane_count(static_cast<int64_t>(plan.what.pieces.size())) + " objects");
    return text +
           fmt::format("{} objects, {}\n", humane_count(static_cast<int64_t>(plan.objects)), humane_bytes(plan.bytes));
}

}  // namespace

Result<int> command::backup_prune(const Session& session) {
    PN_TRY(auto place, open_backup(session));
    const auto& keep = place->backup->keep;
    if (!keep)
        return fail({.kind = ErrorKind::configuration,
                     .code = "nothing_to_keep",
                     .message = fmt::format("backups.{}: no `keep` says what has to stay", place->backup->name),
                     .where = place->backup->place.text(),
                     .hint = "add one, as `keep: {days: 30, full: 4}`"});
    PN_TRY(auto plan, backup::plan_prune(place->catalog, {.days = keep->days, .full = keep->full}, now()));
    for (const auto& id : plan.unreadable)
        log::warning("backup {} cannot be read: it stays, and so do all others and the log, which it may need", id);
    bool dry = session.options.dry_run;
    if (!dry) PN_CHECK(backup::prune(place->catalog, plan, session.stop));
    if (session.json())
        PN_CHECK(print_json({{"backups", plan.what.backups},
                             {"leftovers", plan.leftovers},
                             {"unreadable", plan.unreadable},
                             {"wal_objects", plan.what.pieces.size()},
                             {"objects", plan.objects},
                             {"bytes", plan.bytes},
                             {"removed", !dry}}));
    else PN_CHECK(print(prune_text(plan, dry)));
    return 0;
}

}  // namespace penstock::app
