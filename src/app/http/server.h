#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace penstock::app::http {

struct Request {
    std::string method;
    std::string path;                            ///< without the query
    std::map<std::string, std::string> query;    ///< its parameters, unescaped
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
    /// Of the connection, whatever the headers say. A proxy on this machine has it too, on behalf of anybody.
    bool from_loopback = false;

    /// "" when it is absent.
    std::string header(const std::string& lower_case_name) const;
};

struct Response {
    int status = 200;
    std::string body = {};
    std::string type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers = {};
};

/// The answer that a request waits for: given once, by any thread; what comes
/// later is dropped. One that is forgotten is answered by 500.
class Reply {
  public:
    using Send = std::function<void(Response)>;
    /// Does something after a while, on a thread of its own choice.
    using Later = std::function<void(std::chrono::milliseconds, std::function<void()>)>;
    Reply(Send send, Later later);
    void send(Response response) const;
    /// Sends this if nothing was sent by then.
    void send_after(std::chrono::milliseconds time, Response response) const;

  private:
    struct Once;
    std::shared_ptr<Once> once_;
};

struct ServerSettings {
    std::string host = "127.0.0.1";
    uint16_t port = 0;
    std::chrono::seconds head_time{10};  ///< for all of a request's head
    std::chrono::seconds body_time{30};  ///< for all of its body, and for an answer to be taken
    std::chrono::seconds idle_time{75};  ///< between requests; load balancers keep connections for 60 seconds
    size_t most_connections = 512;
    unsigned threads = 8;  ///< that handle requests
};

/// HTTP/1.1 by Boost.Beast. One thread does all input and output, so that a
/// slow client costs a socket and no thread; handlers run on threads of their
/// own. Heads are bounded to 16 KiB, bodies to what `most_bytes` says of their
/// path, and every stage of a request by a time for all of it.
class Server {
  public:
    using Handler = std::function<void(Request, Reply)>;
    using MostBytes = std::function<size_t(const std::string& path)>;

    /// Listens, so that a port of 0 has been chosen when this returns.
    static Result<std::unique_ptr<Server>> open(ServerSettings settings, MostBytes most_bytes, Handler handler);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    uint16_t port() const;
    /// Takes no more connections, and no more requests on those there are;
    /// returns when all answers are sent, or after `most`.
    void drain(std::chrono::milliseconds most);

  private:
    struct State;
    explicit Server(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace penstock::app::http
