#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::state {

class Connection;

/// Something that somebody did, or was refused, through the HTTP API.
struct Deed {
    std::string id;  ///< sorts by time
    TimePoint at{};
    std::string actor, role;
    std::string action;   ///< "pause"
    std::string subject;  ///< the pipeline
    std::string detail;   ///< JSON: what was asked for
    int status = 0;       ///< of the answer; 0 while it is being done
};

/// Who did what. Nothing is taken out of it by anybody but the state's owner. One thread.
class Audit {
  public:
    static Result<Audit> open(const std::string& url, const std::filesystem::path& directory);
    ~Audit();
    Audit(Audit&&) noexcept;

    /// Before it is done: what is not on record is not done.
    Status begin(const Deed& deed);
    Status end(const std::string& id, int status);
    /// The newest first, those before `before` where it is given.
    Result<std::vector<Deed>> newest(int most, const std::string& before = {});

  private:
    explicit Audit(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace penstock::state
