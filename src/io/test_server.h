#pragma once

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace penstock::io {

/// For tests: an HTTP server on this machine that answers each request, in order, as a function says. What it says goes onto
/// the wire as it is: "" closes the connection without an answer.
class TestServer {
  public:
    struct Received {
        std::string method, target, head, body;
        std::string header(std::string_view name) const {
            auto at = head.find(fmt::format("\r\n{}: ", name));
            if (at == head.npos) return "";
            at += name.size() + 4;
            return head.substr(at, head.find("\r\n", at) - at);
        }
    };
    using Answer = std::function<std::string(const Received&)>;

    explicit TestServer(Answer answer) : answer_(std::move(answer)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
        socklen_t size = sizeof address;
        bool good = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::listen(listener_, 16) == 0 &&
                    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
        if (!good) std::abort();
        url_ = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
        thread_ = std::thread([this] { serve(); });
    }
    ~TestServer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    const std::string& url() const { return url_; }
    std::vector<Received> received() const {
        std::lock_guard lock(mutex_);
        return received_;
    }

    /// "HTTP/1.1 200 OK" with a body and more headers.
    static std::string answer(int status, const std::string& body = "", const std::string& headers = "") {
        return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}", status, body.size(),
                           headers, body);
    }

  private:
    void serve() {
        for (;;) {
            int client = ::accept(listener_, nullptr, nullptr);
            if (client < 0) return;
            auto request = read(client);
            {
                std::lock_guard lock(mutex_);
                received_.push_back(request);
            }
            auto said = answer_(request);
            for (size_t sent = 0; sent < said.size();) {
                auto count = ::send(client, said.data() + sent, said.size() - sent, MSG_NOSIGNAL);
                if (count <= 0) break;
                sent += static_cast<size_t>(count);
            }
            ::close(client);
        }
    }

    static Received read(int client) {
        std::string bytes;
        auto more = [&] {
            char buffer[65536];
            auto count = ::recv(client, buffer, sizeof buffer, 0);
            if (count > 0) bytes.append(buffer, static_cast<size_t>(count));
            return count > 0;
        };
        while (bytes.find("\r\n\r\n") == bytes.npos && more()) {
        }
        Received request;
        auto end = bytes.find("\r\n\r\n");
        if (end == bytes.npos) return request;
        request.head = bytes.substr(0, end + 2);
        auto first = request.head.substr(0, request.head.find("\r\n"));
        request.method = first.substr(0, first.find(' '));
        request.target = first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
        size_t length = std::strtoull(request.header("Content-Length").c_str(), nullptr, 10);
        while (bytes.size() < end + 4 + length && more()) {
        }
        request.body = bytes.substr(end + 4);
        return request;
    }

    Answer answer_;
    int listener_ = -1;
    std::string url_;
    mutable std::mutex mutex_;
    std::vector<Received> received_;
    std::thread thread_;
};

}  // namespace penstock::io
