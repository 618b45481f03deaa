#include "backup/upload.h"

#include <algorithm>
#include <utility>

#include "backup/part.h"
#include "base/failpoint.h"
#include "io/object_store.h"

namespace penstock::backup {

Upload::Upload(const Catalog& catalog, const BackupRecord& record, unsigned threads)
    : catalog_(catalog), record_(record) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

Upload::~Upload() {
    for (auto& thread : threads_) thread.request_stop();
    changed_.notify_all();
}

Status Upload::begin(std::string archive, std::string location) {
    PN_CHECK(close_archive());
    std::scoped_lock lock(mutex_);
    archives_.push_back({.name = std::move(archive), .location = std::move(location)});
    return {};
}

Status Upload::add(std::string_view bytes) {
    while (!bytes.empty()) {
        if (raw_.capacity() < part_bytes) raw_.reserve(part_bytes);
        auto piece = bytes.substr(0, part_bytes - raw_.size());
        raw_ += piece;
        bytes.remove_prefix(piece.size());
        if (raw_.size() == part_bytes) PN_CHECK(close_part());
    }
    return {};
}

Status Upload::close_part() {
    auto& archive = archives_.back();
    archive.bytes += raw_.size();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || waiting_.size() < threads_.size(); });
    if (failed_) return fail(*failed_);
    waiting_.push_back(
        {archives_.size() - 1, record_.part_name(archive.name, archive.parts++), std::exchange(raw_, {})});
    changed_.notify_all();
    return {};
}

/// An archive has one part at least, so that an empty one can be missed.
Status Upload::close_archive() {
    if (archives_.empty() || (raw_.empty() && archives_.back().parts > 0)) return {};
    return close_part();
}

Result<std::vector<ArchiveRecord>> Upload::finish() {
    PN_CHECK(close_archive());
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || (waiting_.empty() && busy_ == 0); });
    if (failed_) return fail(*failed_);
    return archives_;
}

void Upload::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return !waiting_.empty(); })) {
        if (failed_ || stop.stop_requested()) return;
        Part part = std::move(waiting_.front());
        waiting_.pop_front();
        ++busy_;
        changed_.notify_all();
        lock.unlock();
        auto stored = put(part);
        lock.lock();
        --busy_;
        if (stored) archives_[part.archive].stored_bytes += *stored;
        else if (!failed_) failed_ = std::move(stored.error());
        changed_.notify_all();
    }
}

Result<uint64_t> Upload::put(const Part& part) {
    PN_TRY(auto packed, pack_part(part.raw, record_.key, part.name));
    PN_FAILPOINT(backup_part_before);
    PN_CHECK(catalog_.store().put(catalog_.path(part.name), packed));
    PN_FAILPOINT(backup_part_after);
    return packed.size();
}

}  // namespace penstock::backup
