#include "app/recovery_target.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>
#include <vector>

#include "app/as_of.h"
#include "app/usage_mistake.h"

namespace penstock::app {
namespace {

using Kind = backup::RecoveryTarget::Kind;

Error no_position(std::string what, std::string text, std::string hint) {
    return misused("bad_target", fmt::format("'{}' is no {}", text, what), std::move(hint));
}

}  // namespace

Result<backup::RecoveryTarget> read_target(const Options& options) {
    std::vector<std::pair<Kind, const std::string*>> given;
    for (auto [kind, text] : {std::pair(Kind::time, &options.to_time), std::pair(Kind::lsn, &options.to_lsn),
                              std::pair(Kind::name, &options.to_name), std::pair(Kind::xid, &options.to_xid)})
        if (!text->empty()) given.emplace_back(kind, text);
    if (given.size() + (options.latest ? 1 : 0) > 1)
        return fail(misused("two_targets", "--latest, --to-time, --to-lsn, --to-name and --to-xid exclude one another",
                            "leave out all but one of them"));
    backup::RecoveryTarget target;
    if (given.empty()) return target;
    target.kind = given.front().first;
    target.text = *given.front().second;
    if (target.kind == Kind::time) {
        PN_TRY(target.time, parse_moment(target.text));
    } else if (target.kind == Kind::lsn) {
        auto lsn = postgres::Lsn::parse(target.text);
        if (!lsn) return fail(no_position("place in a log", target.text, "places look like 16/B374D848"));
        target.lsn = *lsn;
    } else if (target.kind == Kind::xid) {
        auto [end, error] = std::from_chars(target.text.data(), target.text.data() + target.text.size(), target.xid);
        if (error != std::errc() || end != target.text.data() + target.text.size())
            return fail(
                no_position("transaction", target.text, "the number that pg_current_xact_id() gave, below 2^32"));
    }
    return target;
}

}  // namespace penstock::app
