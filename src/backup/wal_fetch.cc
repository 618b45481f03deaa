#include "backup/wal_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <optional>
#include <utility>

#include "io/file_error.h"

namespace penstock::backup {
namespace {

constexpr std::string_view history_suffix = ".history";

/// A file that is written anew, and ends with zeros where it is to be larger.
class NewFile {
  public:
    explicit NewFile(std::filesystem::path path)
        : path_(std::move(path)), out_(path_, std::ios::binary | std::ios::trunc) {}

    void write(std::string_view bytes) { out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size())); }

    Status close(uint64_t size) {
        out_.close();
        if (!out_) return fail(io::file_error("write", path_, errno));
        std::error_code failed;
        std::filesystem::resize_file(path_, size, failed);
        return failed ? Status(fail(io::file_error("write", path_, failed.value()))) : Status();
    }

  private:
    std::filesystem::path path_;
    std::ofstream out_;
};

Result<bool> fetch_history(const WalStore& store, const std::string& file, const std::filesystem::path& into) {
    uint32_t timeline = 0;
    std::from_chars(file.data(), file.data() + file.size() - history_suffix.size(), timeline, 16);
    auto content = store.get_history(timeline);
    if (!content && content.error().code == "no_such_object") return false;
    if (!content) return fail(std::move(content.error()));
    NewFile out(into);
    out.write(*content);
    PN_CHECK(out.close(content->size()));
    return true;
}

/// A segment that is not there ends recovery. That is right at the end of what is stored, and wrong where something was removed.
Status check_end(const WalStore& store, uint32_t timeline, Lsn segment) {
    PN_TRY(auto index, store.index());
    for (const auto& stretch : index.stretches)
        if (stretch.timeline == timeline && stretch.from > segment && !stretch.begins)
            return fail(missing_wal(store, stretch));
    return {};
}

}  // namespace

Error missing_wal(const WalStore& store, const WalStretch& behind) {
    return {.kind = ErrorKind::check_failed,
            .code = "wal_missing",
            .message = fmt::format("{} is there, and the log before it is missing", store.url(behind.pieces.front())),
            .where = store.url(behind.pieces.front()),
            .hint =
                "`penstock backup verify` tells what is missing; look for it in the store's history of versions. A "
                "restore to "
                "a place before it is possible, and one from a backup behind it"};
}

Result<bool> fetch_wal(const Catalog& catalog, const std::string& file, const std::filesystem::path& into) {
    PN_TRY(auto store, WalStore::open(catalog));
    if (!store)
        return fail({.kind = ErrorKind::refused,
                     .code = "no_wal",
                     .message = fmt::format("there is no log in {}", catalog.url("wal/")),
                     .hint = "`penstock backup wal` keeps it"});
    if (file.ends_with(history_suffix)) return fetch_history(*store, file, into);
    auto segment = store->layout().parse_segment(file);
    if (!segment) return false;
    auto [timeline, from] = *segment;
    PN_TRY(auto index, store->index_segment(timeline, from));
    const auto* stretch = index.stretch(timeline, from);
    if (stretch == nullptr && !index.stretches.empty()) return fail(missing_wal(*store, index.stretches.front()));
    if (stretch == nullptr) {
        PN_CHECK(check_end(*store, timeline, from));
        return false;
    }
    if (index.stretches.size() > 1) return fail(missing_wal(*store, index.stretches.back()));
    Lsn end = from + store->layout().segment_bytes;
    if (stretch->to < end) PN_CHECK(check_end(*store, timeline, from));
    NewFile out(into);
    for (Lsn at = from; at < stretch->to;) {
        Lsn to = std::min<uint64_t>(at + store->layout().block_bytes(), stretch->to);
        PN_TRY(auto bytes, store->read(*stretch, at, to));
        out.write(bytes);
        at = to;
    }
    PN_CHECK(out.close(store->layout().segment_bytes));
    return true;
}

}  // namespace penstock::backup
