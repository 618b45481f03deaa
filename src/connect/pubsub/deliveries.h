#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "connect/pubsub/stream_position.h"
#include "connect/pubsub/subscriber.h"
#include "flow/messages.h"

namespace penstock::pubsub {

struct DeliveryLimits {
    size_t ledger = 100'000;            ///< ids that are remembered; given out and not confirmed: half as many at most
    size_t position_bytes = 256 << 10;  ///< of a position, unless what is pending takes more
    size_t outstanding_messages = 100'000;         ///< taken and not acknowledged
    size_t outstanding_bytes = size_t{128} << 20;  ///< …for the service, which counts them
    size_t waiting_bytes = size_t{64} << 20;       ///< taken and not given out
    std::chrono::microseconds longest_lease = std::chrono::hours(1);
};

/// Each message from its delivery to its acknowledgement, and its id for some time after:
///
///     take --> waiting --give--> given --confirm--> durable --acknowledged--> acknowledged --> forgotten, the oldest first
///
/// A message that is delivered again goes no second way: where it waits or was given out, only what to acknowledge it by
/// changes; where it is durable it is acknowledged again. What an earlier reader made durable (begin), or another one of the same
/// subscription (learn), is treated so.
/// Any thread.
class Deliveries {
  public:
    using Clock = std::chrono::steady_clock;
    Deliveries(std::string subscription, DeliveryLimits limits);

    /// Where an earlier reader was; before anything is taken.
    void begin(const StreamPosition& position);

    // -- from the service
    /// Takes all, each leased until `leased_until`; waits before while there is too much, unless stopped.
    void take(ReceivedList& received, Clock::time_point leased_until, const std::stop_token& stop);
    /// Waits for room; false when stopped.
    bool wait_for_room(const std::stop_token& stop);

    // -- to the reader
    /// Adds what waits to the batch, up to about `most_bytes` of it; waits `longest` for the first.
    void give(flow::MessageBatch& batch, uint64_t most_bytes, std::chrono::microseconds longest);
    std::string position();
    /// What readers of the same subscription have made durable meanwhile. Refuses (part_moved) where something of it was given out
    /// here as well: from then on position() holds it all.
    Status learn(const StreamPosition& newest);
    /// By what position() wrote.
    void confirm(const StreamPosition& durable);
    /// Nothing waits, and nothing is still to be acknowledged.
    bool quiet() const;
    Clock::time_point last_taken() const;

    // -- to the service
    struct Answer {
        std::string id, ack_id;
    };
    /// Durable messages to be acknowledged in one request; waits for the first. None when stopped.
    std::vector<Answer> to_acknowledge(const std::stop_token& stop);
    /// Those there are now.
    std::vector<Answer> to_acknowledge();
    void acknowledged(const std::vector<Answer>& answers);
    /// Worth another try.
    void put_back(const std::vector<Answer>& answers);
    /// What they were to be acknowledged by is of no use any more: they will be delivered again.
    void refused(const std::vector<Answer>& answers);
    /// Leases that end before `before`, of messages that have not been held for too long.
    std::vector<Answer> to_prolong(Clock::time_point before);
    void prolonged(const std::vector<Answer>& answers, Clock::time_point until);
    /// As refused(), for leases.
    void expired(const std::vector<Answer>& answers);
    /// All that was not confirmed, to be given back. Ends it: nothing is taken or given out from here on.
    std::vector<Answer> give_back();

    struct Counts {
        uint64_t taken = 0;     ///< messages that came for the first time
        uint64_t repeated = 0;  ///< deliveries of messages that were there
        uint64_t again = 0;     ///< …of them, of messages that were durable already
        uint64_t expired = 0;   ///< of which an acknowledgement, or longer lease, came too late
        uint64_t let_go = 0;    ///< leases that were no longer prolonged
    };
    Counts counts() const;

  private:
    enum class Stage { waiting, given, durable, acknowledged };
    struct Delivery {
        Stage stage = Stage::waiting;
        bool former = false;        ///< known by begin() or learn() alone
        bool to_answer = false;     ///< in `to_answer_`
        bool aging = false;         ///< in `acknowledged_`
        bool unanswerable = false;  ///< in `unanswerable_`
        std::string ack_id = {};
        int64_t sent_micros = 0;
        Clock::time_point taken{}, leased_until{};
    };
    struct Waiting {
        Received message;
        size_t bytes = 0;
        int64_t received_micros = 0;
    };
    using Lock = std::unique_lock<std::mutex>;

    void take_one(Received& received, Clock::time_point leased_until, int64_t received_micros);
    void learn_one(const std::string& id, bool acknowledged, int64_t sent_until);
    void take_again(const std::string& id, Delivery& known, std::string ack_id);
    bool is_repeat(const Delivery& known, int64_t sent_micros) const;
    bool has_room() const;
    size_t most_given() const;
    void add(flow::MessageBatch& batch, const Waiting& waiting) const;
    std::vector<Answer> take_answers();
    void be_answered(const std::string& id, Delivery& delivery);
    void age(const std::string& id, Delivery& delivery);
    void wait_for_another(const std::string& id, Delivery& delivery);
    void forget();
    void let_former_age();
    Delivery* find(const Answer& answer);

    const std::string subscription_;
    const std::string stream_;
    const std::string prefix_;  ///< of messages' positions
    const DeliveryLimits limits_;
    mutable std::mutex mutex_;
    std::condition_variable_any room_, waiting_, answers_;
    std::unordered_map<std::string, Delivery> deliveries_;
    std::deque<Waiting> queue_;
    size_t queue_bytes_ = 0;
    std::deque<std::string> given_;      ///< in order, not confirmed
    uint64_t confirmed_ = 0;             ///< given out before those
    std::deque<std::string> to_answer_;  ///< durable, to be acknowledged
    size_t being_answered_ = 0;
    std::deque<std::string> acknowledged_;  ///< oldest first
    std::deque<std::string> unanswerable_;  ///< durable, with nothing to acknowledge them by until they come again
    int64_t sent_until_ = 0, former_until_ = 0;
    double bytes_an_id_ = 8;  ///< in a position
    Clock::time_point begun_ = Clock::now(), last_taken_ = begun_;
    bool ended_ = false;
    Counts counts_;
};

}  // namespace penstock::pubsub
