#include "backup/download.h"

#include <algorithm>
#include <utility>

#include "backup/part.h"
#include "base/assert.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

constexpr uint64_t most_packed_bytes = part_bytes + (uint64_t{1} << 20);

}  // namespace

Download::Download(const Catalog& catalog, const BackupRecord& record, const ArchiveRecord& archive, unsigned threads)
    : catalog_(catalog), record_(record), archive_(archive), at_once_(std::min<uint64_t>(threads, archive.parts)) {
    for (uint64_t i = 0; i < at_once_; ++i) threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

Download::~Download() {
    for (auto& thread : threads_) thread.request_stop();
    changed_.notify_all();
}

Result<std::optional<std::string>> Download::next() {
    if (asked_ == archive_.parts) return std::optional<std::string>();
    std::unique_lock lock(mutex_);
    uint64_t wanted = asked_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return ready_.contains(wanted); });
    auto node = ready_.extract(wanted);
    if (!node.mapped()) return fail(std::move(node.mapped().error()));
    return std::optional(std::move(*node.mapped()));
}

void Download::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested() && taken_ < archive_.parts) {
        if (!changed_.wait(lock, stop, [&] { return taken_ >= archive_.parts || taken_ < asked_ + at_once_ + 1; }))
            return;
        if (taken_ >= archive_.parts) return;
        uint64_t number = taken_++;
        lock.unlock();
        auto part = read(number);
        lock.lock();
        ready_.emplace(number, std::move(part));
        changed_.notify_all();
    }
}

Result<std::string> Download::read(uint64_t number) {
    auto name = record_.part_name(archive_.name, number);
    PN_TRY(auto packed, catalog_.store().get(catalog_.path(name), most_packed_bytes));
    return unpack_part(packed, record_.key, name, catalog_.url(name));
}

Result<std::string> download_whole(const Catalog& catalog, const BackupRecord& record, const std::string& archive) {
    const auto* found = record.archive(archive);
    PN_ASSERT(found != nullptr);  // the entry's seal holds: it is what was written
    Download download(catalog, record, *found, 2);
    std::string whole;
    while (true) {
        PN_TRY(auto part, download.next());
        if (!part) return whole;
        whole += *part;
    }
}

}  // namespace penstock::backup
