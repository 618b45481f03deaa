#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

struct MMDB_s;

namespace penstock::steps {

/// A file in MaxMind's format (https://maxmind.github.io/MaxMind-DB/), mapped into memory. Any thread.
class GeoDatabase {
  public:
    /// `value`: "country.iso_code", "subdivisions.0.iso_code".
    static Result<std::shared_ptr<const GeoDatabase>> open(const std::filesystem::path& file, std::string_view value);
    ~GeoDatabase();
    GeoDatabase(const GeoDatabase&) = delete;
    GeoDatabase& operator=(const GeoDatabase&) = delete;

    /// Nothing where the text is no address, a network's length behind a `/` aside, or the database has no value for it. What
    /// is no text there is written as JSON has it into `scratch`; a text lies in the database.
    Result<std::optional<std::string_view>> find(std::string_view address, std::string& scratch) const;

    /// Whether another file has been put in the place of this one.
    bool is_outdated() const;

  private:
    GeoDatabase() = default;
    Error damaged(int code) const;

    std::filesystem::path file_;
    std::unique_ptr<MMDB_s> database_;
    std::vector<std::string> path_;
    std::vector<const char*> names_;  ///< of path_, null at the end
    uint64_t inode_ = 0;
    std::filesystem::file_time_type written_;
};

}  // namespace penstock::steps
