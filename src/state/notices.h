#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace penstock::state {

class Connection;

/// Something that a receiver is to be told.
struct Notice {
    std::string id;          ///< the same for the same news, whoever has it: nobody is told twice
    std::string connection;  ///< the receiver
    std::string pipeline;
    std::string event;    ///< "run_failed"
    std::string subject;  ///< news of one pipeline, event and subject is the same news again
    std::string payload;  ///< JSON
    TimePoint made_at{};
    int attempts = 0;
};

/// News on its way: kept until its receiver has it, whatever happens to the process that had it first. Any process of the project
/// may carry it. One thread.
class Notices {
  public:
    static Result<Notices> open(const std::string& url, const std::filesystem::path& directory);
    ~Notices();
    Notices(Notices&&) noexcept;

    /// False where it is there already, or the same again was told within `repeat` and the pipeline has not succeeded since.
    Result<bool> add(const Notice& notice, std::chrono::microseconds repeat);
    /// Those that are due, the oldest first, but none for the receiver `but`. Nobody else gets them for `claim_time`.
    Result<std::vector<Notice>> take(TimePoint now, int most, const std::string& but = {});
    Status delivered(const Notice& notice, TimePoint at);
    /// Nobody will have it.
    Status given_up(const Notice& notice, TimePoint at, const std::string& why);
    Status again(const Notice& notice, TimePoint not_before, const std::string& why);
    /// Lets go of what ended before, and of what was made before and reached nobody.
    Status forget(TimePoint before);

    static constexpr std::chrono::minutes claim_time{2};

  private:
    explicit Notices(std::unique_ptr<Connection> connection);
    Status end(const Notice& notice, const char* status, TimePoint at, const std::string& why);
    std::unique_ptr<Connection> connection_;
};

}  // namespace penstock::state
