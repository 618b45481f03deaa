#include "connect/parquet/publish.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "connect/parquet/path_template.h"

namespace penstock::parquet {
namespace {

const Path staging_folder = "_penstock/staging";

std::string prefix_of(const std::string& pipeline) { return encode_name(pipeline) + "."; }

std::vector<Path> leftovers(const Path& root, const std::string& pipeline) {
    std::vector<Path> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(root / staging_folder, ignored))
        if (entry.path().filename().string().starts_with(prefix_of(pipeline)))
            found.push_back(staging_folder / entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
}

Error vanished(const Path& folder, const std::string& what) {
    return {.kind = ErrorKind::refused,
            .code = "staged_files_vanished",
            .message = fmt::format("{} was committed but not yet published, and is no longer there", what),
            .where = folder.string(),
            .hint = "somebody removed staged files: restore them, or remove that folder and run with --full-refresh"};
}

Status place(const Path& root, const Path& folder, const Move& move) {
    if (is_there(root / move.from)) return move_path(root / move.from, root / move.to);
    if (!is_there(root / move.to)) return fail(vanished(folder, move.from));
    return {};
}

Status exchange(const Path& root, const Path& folder, const Move& move) {
    Path from = root / move.from;
    Path to = root / move.to;
    if (is_there(to / move.marker)) return {};
    if (!is_there(from / move.marker)) return fail(vanished(folder, move.from));
    if (!is_there(to)) return move_path(from, to);
    PN_TRY(bool swapped, exchange_paths(from, to));
    if (swapped) return {};
    log::warning(
        "{} is on a file system that cannot swap two folders in one step: readers may find it missing for a moment",
        to.string());
    Path old = from;
    old += ".old";
    PN_CHECK(move_path(to, old));
    return move_path(from, to);
}

std::string intent_json(const std::vector<Move>& moves) {
    auto json = nlohmann::ordered_json::array();
    for (const auto& move : moves) json.push_back({{"from", move.from}, {"to", move.to}, {"marker", move.marker}});
    return nlohmann::ordered_json{{"moves", json}}.dump(1) + "\n";
}

Result<std::vector<Move>> parse_intent(const Path& file) {
    PN_TRY(std::string text, read_file(file));
    std::vector<Move> moves;
    try {
        auto json = nlohmann::json::parse(text);
        for (const auto& move : json.at("moves"))
            moves.push_back({.from = move.at("from"), .to = move.at("to"), .marker = move.at("marker")});
    } catch (const nlohmann::json::exception& error) {
        return fail({.kind = ErrorKind::refused,
                     .code = "damaged_intent",
                     .message = fmt::format("{} cannot be read: {}", file.string(), error.what()),
                     .hint = "somebody changed it: restore it, or remove its folder and run with --full-refresh"});
    }
    return moves;
}

}  // namespace

Unit::Unit(Path root, const std::string& pipeline, const std::string& run_id)
    : root_(std::move(root)), folder_(staging_folder / (prefix_of(pipeline) + encode_name(run_id))) {}

Status Unit::create() const {
    PN_CHECK(remove());
    return make_folder(absolute());
}

Status Unit::write_intent(const std::vector<Move>& moves) const {
    PN_CHECK(sync_tree(absolute()));
    PN_CHECK(sync_up({absolute().parent_path()}, root_));
    return write_file(absolute() / "intent.json", intent_json(moves));
}

bool Unit::has_intent() const { return is_there(absolute() / "intent.json"); }

Status Unit::finish(const std::function<Status()>& between) const {
    PN_TRY(auto moves, parse_intent(absolute() / "intent.json"));
    std::vector<Path> touched = {absolute()};
    for (const auto& move : moves) {
        if (between) PN_CHECK(between());
        PN_CHECK(move.marker.empty() ? place(root_, folder_, move) : exchange(root_, folder_, move));
        touched.push_back((root_ / move.to).parent_path());
        touched.push_back((root_ / move.from).parent_path());
    }
    if (between) PN_CHECK(between());
    // All at once: a power cut before this finds the intent and makes the moves again.
    return sync_up(touched, root_);
}

Status Unit::remove() const {
    if (!is_there(absolute())) return {};
    if (has_intent()) {
        PN_CHECK(remove_tree(absolute() / "intent.json"));
        PN_CHECK(sync(absolute()));
    }
    PN_CHECK(remove_tree(absolute()));
    std::error_code not_empty;
    std::filesystem::remove(root_ / staging_folder, not_empty);  // only if no other run uses it
    return {};
}

Result<int> recover(const Path& root, const std::string& pipeline, const std::function<Status()>& between) {
    int count = 0;
    for (const auto& folder : leftovers(root, pipeline)) {
        Unit unit(root, folder);
        FolderLock gone;
        if (auto file = root / folder / living_file; is_there(file)) {
            auto taken = FolderLock::take(file);
            if (!taken && taken.error().kind == ErrorKind::conflict) continue;
            if (!taken) return fail(std::move(taken.error()));
            gone = std::move(*taken);
        }
        if (unit.has_intent()) {
            log::info("finishing the publication that {} was killed in", folder.filename().string());
            PN_CHECK(unit.finish(between));
        } else {
            log::info("removing what {} had staged when it was killed", folder.filename().string());
        }
        PN_CHECK(unit.remove());
        ++count;
    }
    return count;
}

bool has_leftovers(const Path& root, const std::string& pipeline) { return !leftovers(root, pipeline).empty(); }

Path lock_file(const Path& root, const std::string& pipeline) {
    return root / "_penstock" / "locks" / (encode_name(pipeline) + ".lock");
}

}  // namespace penstock::parquet
