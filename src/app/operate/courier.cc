#include "app/operate/courier.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/components.h"
#include "app/lineage/place.h"
#include "app/operate/news.h"
#include "base/humane.h"
#include "base/log.h"
#include "base/secret.h"
#include "io/delivery.h"
#include "io/retry.h"
#include "state/lock.h"
#include "state/notices.h"

namespace penstock::app {
namespace {

constexpr std::chrono::milliseconds carry_every{1000};
constexpr std::chrono::seconds first_delay{2}, longest_delay{600};
constexpr std::chrono::hours receiver_patience{24};
constexpr std::chrono::seconds last_patience{10};  ///< of a process that ends
/// What was carried is remembered, so that the same news is known to be the same.
constexpr std::chrono::hours remember_news{8 * 24};

std::chrono::milliseconds delay_after(int attempts) {
    auto delay = std::chrono::duration_cast<std::chrono::milliseconds>(first_delay);
    for (int i = 1; i < attempts && delay < longest_delay; ++i) delay *= 2;
    return std::min<std::chrono::milliseconds>(delay, longest_delay);
}

io::Delivery attempt(const config::Document& document, const state::Notice& notice, const std::stop_token& stop) {
    if (notice.connection == lineage_receiver) {
        auto place = lineage_of(document);
        if (!place) return {.why = "the configuration has no `lineage` any more"};
        return send_lineage(*place, notice.payload, stop);
    }
    const auto* connection = document.connection(notice.connection);
    const auto* component = connection == nullptr ? nullptr : find_component(connection->type);
    if (component == nullptr || component->tell == nullptr)
        return {.why = "the configuration has no such connection any more"};
    auto news = nlohmann::ordered_json::parse(notice.payload, nullptr, false);
    if (!news.is_object()) return {.why = "the news on record is damaged"};
    return component->tell(connection->options, news, stop);
}

/// What one look at what is due has come to.
struct Round {
    bool again = false;         ///< news could not be delivered and is due again soon
    bool lineage_away = false;  ///< nothing more is tried there in this round
};

Status carry(const config::Document& document, state::Notices& notices, const state::Notice& notice, Round& round,
             const std::stop_token& stop) {
    auto delivery = attempt(document, notice, stop);
    auto now = state::lease_clock();
    if (delivery.delivered) {
        if (notice.connection != lineage_receiver)
            log::info("{} was told of {} of {}", notice.connection, notice.event, notice.pipeline);
        return notices.delivered(notice, now);
    }
    delivery.why = redact(std::move(delivery.why));
    auto delay = std::max(delivery.wait, delay_after(notice.attempts));
    if (delivery.passing && now + delay < notice.made_at + receiver_patience) {
        if (stop.stop_requested()) delay = {};
        log::warning("{} could not be told of {} of {}, tried again in {}: {}", notice.connection, notice.event,
                     notice.pipeline, humane_duration(delay), delivery.why);
        (notice.connection == lineage_receiver ? round.lineage_away : round.again) = true;
        return notices.again(notice, now + delay, delivery.why);
    }
    log::error("{} was not told of {} of {}: {}", notice.connection, notice.event, notice.pipeline, delivery.why);
    return notices.given_up(notice, now, delivery.why);
}

/// One by one, so that a slow receiver keeps nothing else claimed.
Result<Round> carry_due(const config::Document& document, std::chrono::steady_clock::time_point until,
                        const std::stop_token& stop) {
    constexpr int most_in_a_row = 100;
    PN_TRY(auto notices, state::Notices::open(document.state.reveal(), document.state_directory));
    Round round;
    for (int carried = 0; carried < most_in_a_row && !stop.stop_requested() && std::chrono::steady_clock::now() < until;
         ++carried) {
        // Of events there may be many, and each try takes its time: people are told first, and a server that is away is left alone.
        PN_TRY(auto taken, notices.take(state::lease_clock(), 1, lineage_receiver));
        if (taken.empty() && !round.lineage_away) {
            PN_TRY(taken, notices.take(state::lease_clock(), 1, ""));
        }
        if (taken.empty()) break;
        PN_CHECK(carry(document, notices, taken.front(), round, stop));
    }
    return round;
}

Status forget_old(const config::Document& document) {
    PN_TRY(auto notices, state::Notices::open(document.state.reveal(), document.state_directory));
    return notices.forget(state::lease_clock() - remember_news);
}

}  // namespace

Courier::Courier(const config::Document& document) : document_(document) {
    if (tells_anybody(document) || lineage_of(document))
        carrying_ = std::jthread([this](std::stop_token stop) { keep_carrying(std::move(stop)); });
}

Courier::~Courier() = default;

void Courier::keep_carrying(std::stop_token stop) const {
    auto forget_at = std::chrono::steady_clock::now();
    do {
        if (auto carried = carry_due(document_, std::chrono::steady_clock::time_point::max(), stop); !carried)
            log::warning("news was not carried: {}", carried.error().message);
        if (std::chrono::steady_clock::now() < forget_at) continue;
        forget_at += std::chrono::hours(1);
        if (auto forgotten = forget_old(document_); !forgotten)
            log::warning("old news was not forgotten: {}", forgotten.error().message);
    } while (io::wait_for(carry_every, stop));
}

void carry_news(const config::Document& document, const std::stop_token& stop) {
    if (!tells_anybody(document) && !lineage_of(document)) return;
    auto until = std::chrono::steady_clock::now() + last_patience;
    do {
        auto carried = carry_due(document, until, stop);
        if (!carried) return log::warning("news was not carried: {}", carried.error().message);
        if (!carried->again) break;
    } while (std::chrono::steady_clock::now() + first_delay < until && io::wait_for(first_delay, stop));
    if (auto forgotten = forget_old(document); !forgotten)
        log::warning("old news was not forgotten: {}", forgotten.error().message);
}

}  // namespace penstock::app
