#include "app/schedule/sensors.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>

#include "app/schedule/interval_run.h"
#include "app/schedule/jobs.h"
#include "base/log.h"
#include "io/http.h"

namespace penstock::app {
namespace {

using Clock = std::chrono::steady_clock;

/// An URL that does not answer keeps the other ones waiting no longer than this.
constexpr std::chrono::seconds patience{10};
/// Of intervals that nobody asks for any more, because they began or were taken back.
constexpr std::chrono::minutes remember{10};

bool file_is_there(const std::string& pattern) {
    glob_t found{};
    bool any = ::glob(pattern.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc > 0;
    ::globfree(&found);
    return any;
}

bool answers(io::HttpClient& client, const std::string& url, std::stop_token stop) {
    auto response = client.send({.url = url, .timeout = patience, .most_bytes = size_t{1} << 20}, std::move(stop));
    return response && response->good();
}

/// `{window.start}` and the like in a path or URL.
std::string filled(std::string text, const std::map<std::string, std::optional<std::string>>& values) {
    for (const auto& [name, value] : values) {
        std::string mark = fmt::format("{{window.{}}}", name);
        for (size_t at = text.find(mark); at != text.npos; at = text.find(mark)) text.replace(at, mark.size(), *value);
    }
    return text;
}

}  // namespace

struct Sensors::Sought {
    std::string file, url;
    Clock::duration every{};
    Clock::time_point next{};
    bool is_found = false;
};

Sensors::Sensors(const config::Document& document)
    : document_(document), looking_([this](std::stop_token stop) { keep_looking(std::move(stop)); }) {}

Sensors::~Sensors() {
    looking_.request_stop();
    looking_.join();
}

bool Sensors::found(const schedule::Interval& interval) {
    const auto* pipeline = document_.pipeline(interval.pipeline);
    if (pipeline == nullptr || interval.origin == schedule::Origin::backfill) return true;
    const auto& wanted = document_.scheduling_of(*pipeline).wait_for;
    if (wanted.empty()) return true;
    std::lock_guard lock(mutex_);
    Key key{interval.pipeline, interval.end};
    asked_[key] = Clock::now();
    auto& sought = sought_[key];
    if (!sought.empty()) return std::ranges::all_of(sought, [](const auto& one) { return one->is_found; });
    auto zone = zone_of(document_, *pipeline);
    auto values = window_values({interval.start, interval.end}, zone ? *zone : Zone());
    for (const auto& one : wanted) {
        auto made = std::make_shared<Sought>();
        if (!one.value.file.empty())
            made->file = config::relative_to_file(one.value.file.place, filled(one.value.file.value, values)).string();
        made->url = filled(one.value.http.value, values);
        made->every = one.value.every;
        sought.push_back(std::move(made));
    }
    wake_.notify_all();
    return false;
}

void Sensors::forget_unasked(Clock::time_point now) {
    std::erase_if(sought_, [&](const auto& one) { return asked_[one.first] + remember < now; });
    std::erase_if(asked_, [&](const auto& one) { return one.second + remember < now; });
}

void Sensors::keep_looking(std::stop_token stop) {
    io::HttpClient client;
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        std::vector<std::shared_ptr<Sought>> due;
        auto now = Clock::now();
        forget_unasked(now);
        for (const auto& [key, all] : sought_)
            for (const auto& one : all)
                if (!one->is_found && one->next <= now) due.push_back(one);
        lock.unlock();
        for (const auto& one : due) {
            bool there = one->file.empty() ? answers(client, one->url, stop) : file_is_there(one->file);
            if (there) log::info("{} is there", one->file.empty() ? one->url : one->file);
            lock.lock();
            one->is_found = there;
            one->next = Clock::now() + one->every;
            lock.unlock();
        }
        lock.lock();
        wake_.wait_for(lock, stop, std::chrono::milliseconds(500), [] { return false; });
    }
}

}  // namespace penstock::app
