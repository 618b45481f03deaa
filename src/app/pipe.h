#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <utility>

namespace penstock::app {

/// Both ends, closed with it and in every program that is started.
class Pipe {
  public:
    Pipe() { good_ = ::pipe2(ends_.data(), O_CLOEXEC) == 0; }
    ~Pipe() {
        close_reading();
        close_writing();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    bool good() const { return good_; }
    int reading() const { return ends_[0]; }
    int writing() const { return ends_[1]; }
    void close_reading() { close(0); }
    void close_writing() { close(1); }

  private:
    void close(size_t which) {
        if (int end = std::exchange(ends_[which], -1); end >= 0) ::close(end);
    }

    std::array<int, 2> ends_{-1, -1};
    bool good_ = false;
};

}  // namespace penstock::app
