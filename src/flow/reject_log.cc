#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/humane.h"
#include "flow/reject.h"

namespace penstock::flow {
namespace {

constexpr size_t kept_rejects = 1000;
constexpr size_t kept_bytes = size_t{8} << 20;
constexpr size_t quoted_rejects = 3;
constexpr size_t quoted_key_bytes = 200;

constexpr std::array text_fields = {&Reject::table,  &Reject::route, &Reject::source_position, &Reject::key,
                                    &Reject::column, &Reject::code,  &Reject::reason,          &Reject::payload};

size_t bytes_of(const Reject& reject) {
    size_t bytes = sizeof reject;
    for (auto field : text_fields) bytes += (reject.*field).size();
    return bytes;
}

Error spill_error(const char* what, const std::string& directory) {
    int code = errno;
    return {.kind = ErrorKind::capacity,
            .code = "reject_spill",
            .message = fmt::format("rejected rows cannot be {} a temporary file: {}", what,
                                   std::generic_category().message(code)),
            .where = directory,
            .hint = "free space there, set TMPDIR to another folder, or lower max_rejects"};
}

std::string temporary_directory() {
    std::error_code ignored;
    auto directory = std::filesystem::temp_directory_path(ignored);
    return directory.empty() ? "/tmp" : directory.string();
}

/// A file without a name: it goes when the process does, however that ends.
Result<std::FILE*> unlinked_file() {
    std::string directory = temporary_directory();
    std::string path = directory + "/penstock-rejects-XXXXXX";
    int descriptor = ::mkstemp(path.data());
    if (descriptor < 0) return fail(spill_error("put into", directory));
    ::unlink(path.c_str());
    std::FILE* file = ::fdopen(descriptor, "w+b");
    if (file == nullptr) {
        auto error = spill_error("put into", directory);
        ::close(descriptor);
        return fail(std::move(error));
    }
    return file;
}

bool write_text(std::FILE* file, const std::string& text) {
    uint64_t size = text.size();
    return std::fwrite(&size, sizeof size, 1, file) == 1 && std::fwrite(text.data(), 1, size, file) == size;
}

bool read_text(std::FILE* file, std::string& text) {
    uint64_t size = 0;
    if (std::fread(&size, sizeof size, 1, file) != 1) return false;
    text.resize(size);
    return std::fread(text.data(), 1, size, file) == size;
}

bool write_reject(std::FILE* file, const Reject& reject) {
    for (auto field : text_fields)
        if (!write_text(file, reject.*field)) return false;
    int64_t received = reject.received_at.time_since_epoch().count();
    return std::fwrite(&received, sizeof received, 1, file) == 1;
}

bool read_reject(std::FILE* file, Reject& reject) {
    for (auto field : text_fields)
        if (!read_text(file, reject.*field)) return false;
    int64_t received = 0;
    if (std::fread(&received, sizeof received, 1, file) != 1) return false;
    reject.received_at = TimePoint(std::chrono::microseconds(received));
    return true;
}

std::string quote(const Reject& reject) {
    // What has no key is known by its place: a file's line.
    bool keyed = !reject.key.empty();
    std::string row = (keyed ? reject.key : reject.source_position).substr(0, quoted_key_bytes);
    std::string_view joint = row.empty() || reject.column.empty() ? "" : keyed ? " of " : " at ";
    bool named = !row.empty() || !reject.column.empty();
    return fmt::format("{}{}{}{}{}", reject.column, joint, row, named ? ": " : "", reject.reason);
}

Error malformed_error(const Reject& reject) {
    return {.kind = ErrorKind::internal,
            .code = reject.code,
            .message = fmt::format("what the source sent cannot be decoded, so nothing else it sent can be trusted: {}",
                                   quote(reject)),
            .where = "table " + reject.table,
            .hint =
                "nothing was committed; run again, and if it comes back report it with the column's type and the "
                "source's version"};
}

/// Without the values of these columns.
void conceal_values(Reject& reject, const std::vector<std::string>& columns) {
    auto payload = nlohmann::ordered_json::parse(reject.payload, nullptr, false);
    auto key = nlohmann::json::parse(reject.key, nullptr, false);
    for (const auto& column : columns) {
        if (payload.is_object() && payload.contains(column) && !payload[column].is_null()) payload[column] = "***";
        if (key.is_object() && key.contains(column)) reject.key.clear();
        if (reject.column == column)
            reject.reason = "the value cannot be held (it is not shown: a step masks the column)";
    }
    reject.payload = payload.is_object() ? payload.dump() : std::string("***");
}

}  // namespace

RejectLog::~RejectLog() {
    if (spilled_ != nullptr) std::fclose(spilled_);
}

void RejectLog::conceal(std::vector<std::string> columns) {
    std::scoped_lock lock(mutex_);
    concealed_ = std::move(columns);
}

Status RejectLog::add(Reject reject) {
    std::scoped_lock lock(mutex_);
    if (reject.code == malformed_code) return fail(malformed_error(reject));
    if (!concealed_.empty() && !reject.payload.empty()) conceal_values(reject, concealed_);
    size_t bytes = bytes_of(reject);
    bool keep = static_cast<size_t>(size_) == first_.size() && first_.size() < kept_rejects &&
                (first_.empty() || first_bytes_ + bytes <= kept_bytes);
    if (keep) {
        first_bytes_ += bytes;
        first_.push_back(std::move(reject));
    } else {
        PN_CHECK(spill(reject));
    }
    ++size_;
    if (policy_.stop) return fail(stop_error("on_reject is stop"));
    int64_t total = settled_ + size_;
    if (policy_.max_count >= 0 && total > policy_.max_count)
        return fail(
            stop_error(fmt::format("{} are more than max_rejects: {} allows", humane_count(total), policy_.max_count)));
    return {};
}

Status RejectLog::check_share(int64_t rows_read) const {
    std::scoped_lock lock(mutex_);
    int64_t total = settled_ + size_;
    if (total == 0 || rows_read <= 0) return {};
    double share = static_cast<double>(total) / static_cast<double>(rows_read);
    if (share <= policy_.max_share) return {};
    return fail(
        stop_error(fmt::format("{} of {} rows ({:.3g}%) are more than max_rejects: {:g}% allows", humane_count(total),
                               humane_count(rows_read), share * 100, policy_.max_share * 100)));
}

int64_t RejectLog::size() const {
    std::scoped_lock lock(mutex_);
    return size_;
}

Status RejectLog::for_each(const std::function<Status(const Reject&)>& visit) const {
    for (const auto& reject : first_) PN_CHECK(visit(reject));
    return for_each_spilled(visit);
}

Status RejectLog::for_each_spilled(const std::function<Status(const Reject&)>& visit) const {
    int64_t left = size_ - static_cast<int64_t>(first_.size());
    if (left == 0) return {};
    // A disk that is full may show only here.
    if (std::fflush(spilled_) != 0) return fail(spill_error("put into", temporary_directory()));
    if (std::fseek(spilled_, 0, SEEK_SET) != 0) return fail(spill_error("read back from", temporary_directory()));
    for (Reject reject; left > 0; --left) {
        if (!read_reject(spilled_, reject)) return fail(spill_error("read back from", temporary_directory()));
        PN_CHECK(visit(reject));
    }
    std::fseek(spilled_, 0, SEEK_END);
    return {};
}

void RejectLog::settle(int64_t recorded) {
    std::scoped_lock lock(mutex_);
    settled_ += recorded;
    clear();
}

void RejectLog::rewind() {
    std::scoped_lock lock(mutex_);
    clear();
}

void RejectLog::clear() {
    first_.clear();
    first_bytes_ = 0;
    size_ = 0;
    if (spilled_ != nullptr) std::fclose(spilled_);
    spilled_ = nullptr;
}

Status RejectLog::spill(const Reject& reject) {
    if (spilled_ == nullptr) {
        PN_TRY(spilled_, unlinked_file());
    }
    if (!write_reject(spilled_, reject)) return fail(spill_error("put into", temporary_directory()));
    return {};
}

Error RejectLog::stop_error(std::string why) const {
    std::string quoted;
    for (size_t i = 0; i < first_.size() && i < quoted_rejects; ++i) quoted += (i == 0 ? "" : "; ") + quote(first_[i]);
    std::string table = first_.empty() ? std::string() : first_[0].table;
    return {.kind = ErrorKind::data,
            .code = first_.empty() ? "rejected" : first_[0].code,
            .message = fmt::format("rows cannot be held by the target, and {}: {}", why, quoted),
            .where = table.empty() ? "" : "table " + table,
            .hint = policy_.stop
                        ? "set `on_reject: continue` to put such rows into `rejects` and go on, or choose a policy "
                          "for the column (`penstock types` names them)"
                        : "mend the rows in the source, or raise `max_rejects`"};
}

}  // namespace penstock::flow
