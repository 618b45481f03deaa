#include "connect/parquet/objects/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/log.h"

namespace penstock::parquet {
namespace {

TimePoint clock_now() {  // files know no other
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

void wait(std::chrono::microseconds time, std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, std::move(stop), time, [] { return false; });
}

bool same(const io::ObjectInfo& one, const io::ObjectInfo& other) {
    return one.size == other.size && one.modified == other.modified;
}

Error changed_error(const std::string& url, size_t others) {
    return {.kind = ErrorKind::refused,
            .code = "object_changed",
            .message = fmt::format("{} was written again after its rows were taken{}", url,
                                   others > 0 ? fmt::format(", and so were {} others", others) : ""),
            .hint =
                "set changed: load to load its rows again, changed: warn to leave those that are there, or give new "
                "rows an object of their own"};
}

Error late_error(const std::string& url, int64_t more) {
    return {
        .kind = ErrorKind::refused,
        .code = "object_late",
        .message = fmt::format("{} objects such as {} have an old time of writing, and were not there when objects of "
                               "that time were taken",
                               more, url),
        .hint =
            "give them a new time (touch, or copy them in place), or raise `remember` above the number of objects; "
            "--full-refresh reads everything again"};
}

}  // namespace

Selection::Selection(std::shared_ptr<io::ObjectStore> store, const SourceOptions& options, bool in_folder)
    : store_(std::move(store)),
      files_(*Glob::parse(options.files.value)),
      changed_(options.changed),
      settle_(in_folder ? options.settle : std::chrono::microseconds(0)) {
    for (const auto& pattern : options.exclude) exclude_.push_back(*Glob::parse(pattern.value));
}

Result<std::vector<io::ObjectInfo>> Selection::look() const {
    PN_TRY(auto found, store_->list(files_.folder()));
    std::erase_if(found, [&](const auto& object) {
        auto excludes = [&](const Glob& glob) { return glob.matches(object.name); };
        return !files_.matches(object.name) || std::ranges::any_of(exclude_, excludes);
    });
    return found;
}

Result<std::vector<io::ObjectInfo>> Selection::list(std::stop_token stop) {
    PN_TRY(auto found, look());
    if (settle_.count() == 0) return found;
    auto young = [&](const auto& object) { return object.modified > clock_now() - settle_; };
    if (std::ranges::none_of(found, young)) return found;
    wait(settle_, stop);
    // Those that came meanwhile are the next run's, which waits for them in its turn.
    PN_TRY(auto later, look());
    size_t left = 0;
    std::erase_if(found, [&](const auto& object) {
        auto now = std::ranges::lower_bound(later, object.name, {}, &io::ObjectInfo::name);
        bool still = now != later.end() && now->name == object.name && same(*now, object);
        left += still ? 0 : 1;
        return !still;
    });
    if (left > 0) log::info("{} files are still being written; the next run takes them", left);
    return found;
}

Result<std::vector<io::ObjectInfo>> Selection::fresh(const std::vector<io::ObjectInfo>& listed, Taken& taken) const {
    std::vector<io::ObjectInfo> out;
    const io::ObjectInfo* changed = nullptr;
    const io::ObjectInfo* last_older = nullptr;
    size_t changes = 0;
    int64_t older = 0;
    for (const auto& object : listed) {
        switch (taken.look(object)) {
            case Taken::Is::taken: break;
            case Taken::Is::fresh: out.push_back(object); break;
            case Taken::Is::older: ++older, last_older = &object; break;
            case Taken::Is::changed:
                ++changes, changed = &object;
                if (changed_ == WhenChanged::load) out.push_back(object);
        }
    }
    if (older > taken.forgotten()) {
        auto error = late_error(store_->url(last_older->name), older - taken.forgotten());
        if (changed_ != WhenChanged::warn) return fail(std::move(error));
        log::warning("{}; {}", error.message, error.hint);
    }
    taken.forget_down_to(older);
    if (changes == 0) return out;
    auto error = changed_error(store_->url(changed->name), changes - 1);
    if (changed_ == WhenChanged::stop) return fail(std::move(error));
    log::warning("{}: {}", error.message, changed_ == WhenChanged::load ? "loaded again" : "left as it was loaded");
    return out;
}

Status Selection::unchanged(const io::ObjectInfo& object) const {
    PN_TRY(auto now, store_->info(object.name));
    if (now && same(*now, object)) return {};
    return fail(
        {.kind = ErrorKind::unavailable,
         .code = "object_changed_while_read",
         .message = fmt::format("{} was {} while it was read", store_->url(object.name), now ? "written" : "removed"),
         .hint = "put objects in place whole (write aside, then rename), or raise `settle`"});
}

}  // namespace penstock::parquet
