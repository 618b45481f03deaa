#include "connect/parquet/targets.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "connect/parquet/path_template.h"

namespace penstock::parquet {
namespace {

using flow::Mode;
using flow::TableTarget;

/// The folder that a load may swap as a whole, or "" where it only adds.
std::string swapped_folder(const TableTarget& target) {
    if (target.mode == Mode::append) return target.full_refresh ? fixed_part(target.name) : std::string();
    return fixed_part(target.name);
}

bool holds(const std::string& folder, const std::string& path) {
    return path == folder || path.starts_with(folder + "/");
}

std::unexpected<Error> wrong(const TableTarget& target, std::string code, std::string why, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = fmt::format("table {} cannot be written to {}: {}", target.info.name, target.name, why),
                 .hint = std::move(hint)});
}

Status check_target(const TableTarget& target) {
    if (target.info.rejects_only) return {};
    PN_CHECK(check_template(target.name));
    if (!target.known_by.empty())
        return wrong(target, "replay_not_available",
                     "mode append does not look for rows in files, so that none could be left out",
                     "give the route `mode: merge` and a `key`, or write to a duckdb or bigquery connection");
    if (target.info.changes && target.mode != Mode::append)
        return wrong(target, "changes_are_logged", "changes are kept in files as a log, a row each",
                     "use mode: append; for a mirror or a history of the rows, write to a duckdb connection");
    bool keyed = target.mode == Mode::merge || target.mode == Mode::history;
    std::string mode = target.mode == Mode::merge ? "merge" : "history";
    if (keyed && has_time(target.name))
        return wrong(target, "path_has_time",
                     fmt::format("mode {} rewrites one folder, and the path has time parts", mode),
                     "leave {yyyy} and the like out of `path:`, or use mode: append");
    if (keyed && target.key.empty())
        return wrong(target, "key_missing", fmt::format("mode {} needs a key and the table has no primary key", mode),
                     "name the columns under `key:`");
    for (const auto& name : target.key)
        if (keyed && target.info.schema.find(name) < 0)
            return wrong(target, "no_such_key", fmt::format("key column \"{}\" is not in the table", name),
                         "mend `key:` of the target");
    for (const auto& name : target.cluster_by)
        if (target.info.schema.find(name) < 0)
            return wrong(target, "no_such_column", fmt::format("cluster_by column \"{}\" is not in the table", name),
                         "mend `cluster_by:` of the target");
    if (target.mode == Mode::append && target.full_refresh && fixed_part(target.name).empty())
        return wrong(target, "no_fixed_folder", "a full refresh swaps one folder, and the path begins with a time part",
                     "begin `path:` with \"{table}/\"");
    return {};
}

Status check_apart(const TableTarget& one, const TableTarget& other) {
    std::string swapped = swapped_folder(one);
    if (swapped.empty() || !holds(swapped, fixed_part(other.name))) return {};
    return wrong(one, "folders_overlap",
                 fmt::format("its folder {} is swapped as a whole and holds that of {}", swapped, other.info.name),
                 "put {schema} and {table} into `path:` so that each table has a folder of its own");
}

}  // namespace

Status check_root(const Path& root) {
    if (root.string().find_first_of("*?[]") != std::string::npos)
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "bad_root",
             .message = fmt::format("{} has a character that Parquet readers take for a pattern", root.string()),
             .hint = "choose a folder without * ? [ and ]"});
    Path there = root;
    while (!is_there(there) && there != there.parent_path()) there = there.parent_path();
    std::error_code failed;
    if (!std::filesystem::is_directory(there, failed)) return fail(storage_error("write to", there, ENOTDIR));
    if (::access(there.c_str(), W_OK | X_OK) != 0) return fail(storage_error("write to", there, errno));
    return {};
}

Status check_targets(const std::vector<TableTarget>& tables) {
    for (const auto& target : tables) PN_CHECK(check_target(target));
    for (const auto& one : tables)
        for (const auto& other : tables)
            if (&one != &other) PN_CHECK(check_apart(one, other));
    return {};
}

std::vector<std::string> describe_load(const TableTarget& target, const Path& root, const WriteOptions& options,
                                       const std::vector<Partition>& partitions, TimePoint started_at,
                                       bool table_exists) {
    std::string place = (root / expand_time(target.name, started_at)).string();
    std::vector<std::string> steps;
    std::string select = "SELECT * FROM source";
    switch (target.mode) {
        case Mode::append:
            if (table_exists && !target.info.cursor.empty() && !target.full_refresh)
                select = "SELECT * FROM source EXCEPT ALL SELECT * FROM published";
            break;
        case Mode::replace: break;
        case Mode::merge:
            select = "SELECT * FROM published ANTI JOIN staged USING (key) UNION ALL SELECT * FROM staged";
            break;
        case Mode::history: select = "SELECT * FROM published UNION ALL new versions, those they end closed"; break;
    }
    steps.push_back(copy_sql(select, Path(place) / "<run_id>", options, partitions, target.cluster_by));
    bool swaps = target.mode != Mode::append || target.full_refresh;
    steps.push_back(swaps ? fmt::format("swap {} with the new folder, then remove the old one", place)
                          : fmt::format("rename the staged folder to {}/<run_id>", place));
    return steps;
}

}  // namespace penstock::parquet
