#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"

namespace penstock::steps {

struct ProgramOptions {
    std::vector<std::string> command;
    std::filesystem::path directory;  ///< where it runs
    std::string table;                ///< PENSTOCK_TABLE of its environment
    std::chrono::microseconds timeout;
    std::string place;  ///< of the step in the configuration file
};

/// A program with pipes to its standard input and output; each line of its standard error goes to the log. One thread writes, one
/// reads. Killed, if it still runs, when this goes.
class ProgramProcess {
  public:
    static Result<std::unique_ptr<ProgramProcess>> start(ProgramOptions options, std::stop_token stop);
    ~ProgramProcess();
    ProgramProcess(const ProgramProcess&) = delete;
    ProgramProcess& operator=(const ProgramProcess&) = delete;

    /// The writing thread's. Fails when the program takes no more.
    Status write(const char* bytes, size_t size);
    void close_input();
    /// The writing thread has nothing to write for now: the program may be silent for as long as that lasts.
    void waits_for_rows(bool waits) { waits_ = waits; }

    /// The reading thread's: up to `size` bytes, 0 at the end. Fails when the program was silent for the timeout.
    Result<size_t> read(char* bytes, size_t size);
    /// Waits for it to end, and fails unless it did so well.
    Status finish();
    /// Any thread.
    void kill();

    /// What is wrong with what it wrote, and how it ended, if it did.
    Error broken(std::string code, std::string message);
    std::string name() const;

  private:
    ProgramProcess(ProgramOptions options, std::stop_token stop)
        : options_(std::move(options)), stop_(std::move(stop)) {}

    Status spawn();
    void read_messages();
    void log_lines(bool all);
    bool ended(int flags);
    std::string how_it_ended() const;
    Error silent() const;

    ProgramOptions options_;
    std::stop_token stop_;
    pid_t pid_ = -1;
    int input_ = -1;
    int output_ = -1;
    int messages_ = -1;
    std::atomic<bool> killed_ = false;
    std::atomic<bool> waits_ = false;
    std::atomic<std::chrono::steady_clock::time_point> moved_{std::chrono::steady_clock::time_point()};
    std::mutex pid_mutex_;
    bool reaped_ = false;
    int status_ = 0;
    std::string line_;       ///< of messages, not ended yet
    std::string last_line_;  ///< the last one that said anything
};

}  // namespace penstock::steps
