#pragma once

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "connect/postgres/options.h"
#include "connect/postgres/wire.h"

namespace penstock::postgres {

/// For tests: the server's end of one connection, saying what a script tells it to. Whatever goes wrong with the socket is
/// thrown as `Gone`, which ends the script.
class ScriptedWire {
  public:
    struct Gone {};
    struct Frame {
        char type = 0;
        std::string body;
    };
    struct StandbyStatus {
        uint64_t write = 0, flush = 0, apply = 0;
        bool asks = false;
    };

    explicit ScriptedWire(int fd) : fd_(fd) {}

    /// Startup to ReadyForQuery, and the session's settings.
    void greet(std::string_view version = "15.4") {
        bytes(big(bytes(4)) - 4);
        send('R', word(0));
        for (auto [name, value] : {std::pair<std::string, std::string>{"server_version", version},
                                   {"server_encoding", "UTF8"},
                                   {"client_encoding", "UTF8"},
                                   {"standard_conforming_strings", "on"}})
            send('S', name + '\0' + value + '\0');
        send('K', word(4711) + word(1));
        ready();
        next();
        complete("SET");
    }

    void ready() { send('Z', "I"); }
    void complete(const std::string& tag) {
        send('C', tag + '\0');
        ready();
    }

    /// Answers the next query with one value.
    void answer(const std::string& value) {
        next();
        std::string one("\0\1", 2);
        send('T', one + "v" + '\0' + word(0) + std::string(2, '\0') + word(25) + std::string(2, '\xff') +
                      word(uint32_t(-1)) + std::string(2, '\0'));
        send('D', one + word(static_cast<uint32_t>(value.size())) + value);
        complete("SELECT 1");
    }

    /// Everything up to CopyBothResponse; the START_REPLICATION command that came.
    std::string start_stream(const std::string& wal_sender_timeout = "60000") {
        greet();
        answer(wal_sender_timeout);
        auto command = next().body;
        send('W', std::string(3, '\0'));
        return command.substr(0, command.size() - 1);
    }

    void data(uint64_t lsn, std::string_view payload) {
        send('d', "w" + wide(lsn) + wide(lsn) + wide(0) + std::string(payload));
    }
    void keepalive(uint64_t end, bool asks) {
        send('d', "k" + wide(end) + wide(0) + std::string(1, asks ? '\1' : '\0'));
    }
    void error(const std::string& state, const std::string& message) {
        using namespace std::string_literals;
        send('E', "SERROR\0C"s + state + "\0M"s + message + "\0\0"s);
    }

    /// The next standby status update; other frames are passed over.
    StandbyStatus status() {
        while (true) {
            auto frame = next();
            if (frame.type != 'd' || frame.body[0] != 'r') continue;
            WireCursor cursor(std::string_view(frame.body).substr(1));
            StandbyStatus status{cursor.integer<uint64_t>(), cursor.integer<uint64_t>(), cursor.integer<uint64_t>()};
            cursor.integer<uint64_t>();
            status.asks = cursor.integer<char>() != 0;
            return status;
        }
    }

    Frame next() {
        Frame frame;
        frame.type = bytes(1)[0];
        frame.body = bytes(big(bytes(4)) - 4);
        return frame;
    }
    void send(char type, std::string_view body) {
        raw(type + word(static_cast<uint32_t>(body.size() + 4)) + std::string(body));
    }
    void raw(std::string_view out) {
        while (!out.empty()) {
            size_t piece = cut_ == 0 ? out.size() : std::min(cut_, out.size());
            ssize_t sent = ::send(fd_, out.data(), piece, MSG_NOSIGNAL);
            if (sent <= 0) throw Gone();
            out.remove_prefix(static_cast<size_t>(sent));
        }
    }
    /// From now on bytes go out so many at a time.
    void cut(size_t bytes) { cut_ = bytes; }

    /// Until the client is gone.
    void wait() {
        while (true) next();
    }

  private:
    static std::string word(uint32_t value) {
        value = std::byteswap(value);
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }
    static std::string wide(uint64_t value) {
        value = std::byteswap(value);
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }
    static uint32_t big(const std::string& bytes) { return load_big_endian<uint32_t>(bytes.data()); }
    std::string bytes(size_t count) {
        std::string out(count, '\0');
        for (size_t have = 0; have < count;) {
            ssize_t got = ::recv(fd_, out.data() + have, count - have, 0);
            if (got <= 0) throw Gone();
            have += static_cast<size_t>(got);
        }
        return out;
    }

    int fd_;
    size_t cut_ = 0;
};

/// For tests: accepts one connection on a socket of its own and plays the script, then hangs up.
class ScriptedServer {
  public:
    explicit ScriptedServer(std::function<void(ScriptedWire&)> script) {
        std::string folder = (std::filesystem::temp_directory_path() / "penstock-wire-XXXXXX").string();
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        folder_ = folder;
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        auto path = folder + "/.s.PGSQL.5432";
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 1) != 0)
            std::abort();
        thread_ = std::jthread([this, script = std::move(script)] {
            int fd = accept(listener_, nullptr, nullptr);
            if (fd < 0) return;
            ScriptedWire wire(fd);
            try {
                script(wire);
            } catch (const ScriptedWire::Gone&) {
            }
            close(fd);
        });
    }
    ~ScriptedServer() {
        shutdown(listener_, SHUT_RDWR);
        finish();
        close(listener_);
        std::filesystem::remove_all(folder_);
    }

    /// Waits for the script's end.
    void finish() {
        if (thread_.joinable()) thread_.join();
    }

    ConnectionOptions options() const {
        ConnectionOptions options;
        options.url = Secret(fmt::format("host={} port=5432 user=u dbname=d", folder_.string()));
        options.name = "scripted";
        return options;
    }

  private:
    std::filesystem::path folder_;
    int listener_ = -1;
    std::jthread thread_;
};

}  // namespace penstock::postgres
