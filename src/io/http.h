#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace penstock::io {

/// A stretch of a file to send as a request's body, read as it goes.
struct FileBody {
    std::filesystem::path file;
    uint64_t offset = 0;
    uint64_t size = 0;
};

struct Request {
    std::string method = "GET";
    std::string url = {};
    /// "Name: value". "Accept-Encoding:" lets the server pack its answer in any way that libcurl unpacks; it comes unpacked, and
    /// `most_bytes` is of what it holds.
    std::vector<std::string> headers = {};
    std::string body = {};
    std::optional<FileBody> file = {};                            ///< instead of `body`
    std::chrono::milliseconds timeout = std::chrono::minutes(2);  ///< for all of it; of a file's upload, for silence
    size_t most_bytes = size_t{64} << 20;                         ///< of the answer's body; more is an error
};

/// Whatever the server said; a status of 500 is an answer too.
struct Response {
    int status = 0;
    std::map<std::string, std::string> headers;  ///< names in lower case; values of one name with ", " in between
    std::string body;

    bool good() const { return status >= 200 && status < 300; }
    std::string header(const std::string& lower_case_name) const;
};

struct HttpSettings {
    std::filesystem::path ca_file = {};  ///< certificates to trust instead of the system's
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(15);
    std::string user_agent = "penstock";
};

/// HTTP/1.1 and 2 by libcurl. Connections are kept and shared by all requests of one client; any thread may send. Follows no
/// redirects: what a request holds goes to the host that it names. Proxies are those of the environment, never for loopback.
class HttpClient {
  public:
    explicit HttpClient(HttpSettings settings = {});
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    /// An error where no whole answer came: `unavailable` for what may be different another time (no connection, a reset, a
    /// timeout), `interrupted` when stopped, `refused` where the server's certificate is not trusted.
    Result<Response> send(const Request& request, std::stop_token stop = {});

    int64_t bytes_sent() const;

  private:
    struct Handle;
    std::unique_ptr<Handle> take();
    void give_back(std::unique_ptr<Handle> handle);

    HttpSettings settings_;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Handle>> idle_;
    int64_t bytes_sent_ = 0;
};

}  // namespace penstock::io
