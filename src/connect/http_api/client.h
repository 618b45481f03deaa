#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "connect/http_api/options.h"
#include "io/http.h"
#include "io/retry.h"
#include "io/token.h"

namespace penstock::http_api {

/// Asks one API: says who asks, keeps to its rate, waits when it says so, and repeats what failed for the moment. Any thread.
class Client {
  public:
    /// Asks nobody yet.
    static Result<std::unique_ptr<Client>> make(const ConnectionOptions& options, uint64_t most_bytes,
                                                std::stop_token stop);

    /// What an answer of the API is looked at with; an error has it asked for again, though not often.
    using Look = std::function<Status(io::Response&)>;

    /// A good answer, or one with a status of `expected`. Redirects are followed: within the API's host as this very request,
    /// to others without anything that says who asks. `what` names the request in errors.
    Result<io::Response> get(const std::string& url, const std::string& what, const std::vector<int64_t>& expected = {},
                             const Look& look = {});
    /// One attempt, whatever the answer.
    Result<io::Response> ask_once(const std::string& url);

    const std::string& base() const { return base_; }

  private:
    Client(const ConnectionOptions& options, uint64_t most_bytes, std::stop_token stop);
    Result<io::Response> send(const std::string& url);
    Status sign(io::Request& request);
    Status wait_for_turn();

    const ConnectionOptions options_;
    std::string base_;
    uint64_t most_bytes_;
    std::stop_token stop_;
    io::HttpClient http_;
    io::RetrySettings retries_;
    std::unique_ptr<io::TokenCache> token_;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point next_turn_{};
};

/// Whether the API speaks of a limit that passes: 429, or what stands in its place.
bool is_rate_limit(const io::Response& response);

/// The error of an answer that is none.
Error status_error(const io::Response& response, const std::string& what);

}  // namespace penstock::http_api
