#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "app/http/server.h"
#include "app/placeholders.h"
#include "config/document.h"
#include "state/messages.h"

namespace penstock::app::http {

class Turns;

/// What a message does to its pipeline: a bounded number of runs at once, the
/// others wait, too many are refused. Each pipeline that a message stands for
/// is run until it has succeeded or failed for good, however often the message
/// comes. Any thread.
class Invocations {
  public:
    struct Settings {
        size_t workers = 2;
        size_t most_waiting = 100;
        /// How many of the workers something else has.
        std::function<size_t()> others = [] { return size_t{0}; };
    };
    /// The document must outlive this; it is as `read_project` gives it, without
    /// the rows of `for_each`.
    Invocations(const config::Document& document, Settings settings);
    ~Invocations();
    Invocations(const Invocations&) = delete;
    Invocations& operator=(const Invocations&) = delete;

    /// This process' hold on a message: only who has it may claim and run the
    /// message. Released when destroyed.
    class Hold {
      public:
        Hold(Invocations& owner, std::string pipeline, std::string id)
            : owner_(owner), key_(std::move(pipeline), std::move(id)) {}
        ~Hold();
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;

      private:
        Invocations& owner_;
        std::pair<std::string, std::string> key_;
    };
    /// Null where another thread has it.
    std::unique_ptr<Hold> hold(const std::string& pipeline, const std::string& id);

    /// A message that was claimed. `reply` gets its end, where somebody waits for
    /// it.
    struct Order {
        std::unique_ptr<Hold> hold;
        state::Message message;
        Parameters parameters;
        std::optional<Reply> reply;
    };
    bool has_room() const;
    void submit(Order order);
    bool is_draining() const;
    size_t under_way() const;
    /// Workers at work.
    size_t busy() const;
    /// The invocations of messages that wait or run.
    std::vector<std::string> held() const;

    /// What waits is given back, what runs has so long before it is stopped.
    /// Returns when nothing runs.
    void drain(std::chrono::milliseconds most);

  private:
    void work();
    void carry_out(Order& order, std::stop_token stop);

    const config::Document& document_;
    const Settings settings_;
    std::unique_ptr<Turns> turns_;
    mutable std::mutex mutex_;
    std::condition_variable wake_, idle_;
    std::deque<Order> waiting_;
    std::set<std::pair<std::string, std::string>> holds_;
    std::set<std::string> running_;
    bool draining_ = false;
    std::stop_source stop_;
    std::vector<std::thread> workers_;
};

/// What is said of a message: its id, status, the runs so far. With the status
/// code that its sender gets.
Response message_answer(const state::Message& message);

}  // namespace penstock::app::http
