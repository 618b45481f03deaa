#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/document.h"
#include "io/http.h"
#include "schedule/interval.h"

namespace penstock::app {

/// What can be found wrong with a pipeline's `wait_for` without connecting.
Status validate_sensors(const config::Document& document, const config::PipelineConfig& pipeline);

/// Looks for what intervals wait for (`wait_for`): one thread for all of them, however many wait. What was found once stays found
/// for that interval, as long as this process leads. Any thread.
class Sensors {
  public:
    /// The document must outlive this.
    explicit Sensors(const config::Document& document);
    ~Sensors();

    /// Whether all that the interval waits for was found; what was not is looked for from now on.
    bool found(const schedule::Interval& interval);

  private:
    struct Sought;
    using Key = std::pair<std::string, TimePoint>;  ///< pipeline, end of the window
    bool is_there(const Sought& one, io::HttpClient& client, const std::stop_token& stop) const;
    void keep_looking(std::stop_token stop);
    void forget_unasked(std::chrono::steady_clock::time_point now);

    const config::Document& document_;
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::map<Key, std::vector<std::shared_ptr<Sought>>> sought_;
    std::map<Key, std::chrono::steady_clock::time_point> asked_;
    std::jthread looking_;
};

}  // namespace penstock::app
