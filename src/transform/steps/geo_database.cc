#include "transform/steps/geo_database.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <maxminddb.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <system_error>

namespace penstock::steps {
namespace {

/// Room for an address of either family.
struct Address {
    sockaddr_storage storage{};

    bool parse(std::string_view text) {
        std::array<char, INET6_ADDRSTRLEN> written{};
        text = text.substr(0, text.find('/'));
        if (text.empty() || text.size() >= written.size()) return false;
        std::memcpy(written.data(), text.data(), text.size());
        auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
        if (inet_pton(AF_INET, written.data(), &v4->sin_addr) == 1) return v4->sin_family = AF_INET, true;
        auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
        if (inet_pton(AF_INET6, written.data(), &v6->sin6_addr) == 1) return v6->sin6_family = AF_INET6, true;
        return false;
    }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

uint64_t inode_of(const std::filesystem::path& file) {
    struct stat found{};
    return stat(file.c_str(), &found) == 0 ? found.st_ino : 0;
}

/// "" of maps, lists and bytes, which have no short text.
std::string text_of(const MMDB_entry_data_s& data) {
    switch (data.type) {
        case MMDB_DATA_TYPE_DOUBLE: return fmt::format("{}", data.double_value);
        case MMDB_DATA_TYPE_FLOAT: return fmt::format("{}", data.float_value);
        case MMDB_DATA_TYPE_UINT16: return fmt::format("{}", data.uint16);
        case MMDB_DATA_TYPE_UINT32: return fmt::format("{}", data.uint32);
        case MMDB_DATA_TYPE_UINT64: return fmt::format("{}", data.uint64);
        case MMDB_DATA_TYPE_INT32: return fmt::format("{}", data.int32);
        case MMDB_DATA_TYPE_BOOLEAN: return data.boolean ? "true" : "false";
        default: return "";
    }
}

}  // namespace

Result<std::shared_ptr<const GeoDatabase>> GeoDatabase::open(const std::filesystem::path& file,
                                                             std::string_view value) {
    std::shared_ptr<GeoDatabase> made(new GeoDatabase);
    made->file_ = file;
    std::error_code ignored;
    made->inode_ = inode_of(file);
    made->written_ = std::filesystem::last_write_time(file, ignored);
    auto database = std::make_unique<MMDB_s>();
    if (int code = MMDB_open(file.c_str(), MMDB_MODE_MMAP, database.get()); code != MMDB_SUCCESS) {
        std::string why = code == MMDB_FILE_OPEN_ERROR ? std::strerror(errno) : MMDB_strerror(code);
        return fail({.kind = ErrorKind::configuration,
                     .code = "geoip_not_read",
                     .message = fmt::format("the database {} cannot be read: {}", file.string(), why),
                     .hint = "it is a file in MaxMind's format (.mmdb), unpacked"});
    }
    made->database_ = std::move(database);
    for (size_t at = 0; at <= value.size();) {
        size_t end = std::min(value.find('.', at), value.size());
        made->path_.emplace_back(value.substr(at, end - at));
        at = end + 1;
    }
    for (const auto& name : made->path_) made->names_.push_back(name.c_str());
    made->names_.push_back(nullptr);
    return made;
}

GeoDatabase::~GeoDatabase() {
    if (database_) MMDB_close(database_.get());
}

Error GeoDatabase::damaged(int code) const {
    return {.kind = ErrorKind::data,
            .code = "geoip_damaged",
            .message = fmt::format("the database {} is damaged: {}", file_.string(), MMDB_strerror(code)),
            .hint = "put a good one in its place and run again"};
}

Result<std::optional<std::string_view>> GeoDatabase::find(std::string_view text, std::string& scratch) const {
    std::optional<std::string_view> none;
    Address address;
    if (!address.parse(text)) return none;
    int code = MMDB_SUCCESS;
    auto found = MMDB_lookup_sockaddr(database_.get(), address.get(), &code);
    if (code == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) return none;
    if (code != MMDB_SUCCESS) return fail(damaged(code));
    if (!found.found_entry) return none;
    MMDB_entry_data_s data{};
    code = MMDB_aget_value(&found.entry, &data, names_.data());
    if (code == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR || code == MMDB_INVALID_LOOKUP_PATH_ERROR) return none;
    if (code != MMDB_SUCCESS) return fail(damaged(code));
    if (!data.has_data) return none;
    if (data.type == MMDB_DATA_TYPE_UTF8_STRING) return std::string_view(data.utf8_string, data.data_size);
    scratch = text_of(data);
    if (scratch.empty()) return none;
    return std::string_view(scratch);
}

bool GeoDatabase::is_outdated() const {
    std::error_code failed;
    auto written = std::filesystem::last_write_time(file_, failed);
    return !failed && (inode_of(file_) != inode_ || written != written_);
}

}  // namespace penstock::steps
