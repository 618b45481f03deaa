#include "flow/target_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/humane.h"

namespace penstock::flow {
namespace {

/// Column names that a target asks for must be the source's.
Status check_columns(const TableTarget& target, const std::vector<std::string>& names, const char* option) {
    for (const auto& name : names) {
        if (target.info.schema.find(name) >= 0) continue;
        std::vector<std::string> known;
        for (const auto& field : target.info.schema.fields) known.push_back(field.name);
        std::string nearest = nearest_name(name, known);
        return fail({.kind = ErrorKind::configuration,
                     .code = "no_such_column",
                     .message = fmt::format("{} column {} is not in table {}", option, name, target.info.name),
                     .hint = nearest.empty() ? fmt::format("its columns are {}", fmt::join(known, ", "))
                                             : fmt::format("did you mean {}?", nearest)});
    }
    return {};
}

/// A stream of changes says itself what identifies a row and when it has changed.
Status check_changes(const TableTarget& target) {
    PN_CHECK(check_columns(target, target.info.key, "replica identity"));
    bool keeps_order = target.mode == Mode::merge || target.mode == Mode::history;
    if (keeps_order && target.update_when.empty()) return {};
    return fail({.kind = ErrorKind::configuration,
                 .code = "not_for_changes",
                 .message = fmt::format("{} cannot be used for changes of table {}",
                                        keeps_order ? "update_when" : "this mode", target.info.name),
                 .hint = keeps_order ? "leave it out: every change is applied"
                                     : "choose `mode: merge` for a mirror of the table, or `mode: history`"});
}

}  // namespace

Status check_target(const TableTarget& target) {
    PN_CHECK(check_columns(target, target.key, "key"));
    PN_CHECK(check_columns(target, target.cluster_by, "cluster_by"));
    if (target.info.changes) return check_changes(target);
    bool needs_key = target.mode == Mode::merge || target.mode == Mode::history;
    if (needs_key && target.key.empty())
        return fail({.kind = ErrorKind::configuration,
                     .code = "key_missing",
                     .message = fmt::format("mode {} needs a key, and table {} has no primary key to take it from",
                                            target.mode == Mode::merge ? "merge" : "history", target.info.name),
                     .hint = "name the key columns under `key:`, or choose `mode: append` or `mode: replace`"});
    return {};
}

}  // namespace penstock::flow
