#include "app/schedule/sensors.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>

#include "app/other_table.h"
#include "app/pipeline.h"
#include "app/project.h"
#include "app/schedule/interval_run.h"
#include "app/schedule/jobs.h"
#include "base/deadline.h"
#include "base/ids.h"
#include "base/log.h"
#include "check/compare.h"

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

/// A server that is away, and a table that is not there yet, are reasons to wait.
bool has_row(const config::Document& document, const config::PipelineConfig& waiting, const config::Node& table,
             const std::stop_token& stop) {
    auto pipeline = Pipeline::find(document, waiting.name);
    if (!pipeline) return false;
    Deadline deadline(patience);
    EitherStop either(stop, deadline.token());
    auto may = pipeline->request(new_run_id());  // what a run may bill, and on record
    auto store = open_state(document);
    if (store) may.purse->keep_in(store->spending(may.identity));
    OtherTable other(document, waiting, table, may.purse, OtherTable::Asks::any_row);
    auto rows = store ? other.number(either.token()) : fail(store.error());
    if (!rows) {
        bool costs = rows.error().kind == ErrorKind::budget;
        log::write(costs ? log::Level::warning : log::Level::info,
                   fmt::format("{} waits: {}", waiting.name, rows.error().message));
    }
    return rows && *rows > 0;
}

/// `{window.start}` and the like in a path, URL or condition.
std::string filled(std::string text, const std::map<std::string, std::optional<std::string>>& values) {
    for (const auto& [name, value] : values) {
        std::string mark = fmt::format("{{window.{}}}", name);
        for (size_t at = text.find(mark); at != text.npos; at = text.find(mark)) text.replace(at, mark.size(), *value);
    }
    return text;
}

/// As a check's `same_as` has it.
config::Node asked_for(const config::Sensor& sensor, const std::map<std::string, std::optional<std::string>>& values) {
    config::Node node = config::Node::map({});
    node.place = sensor.table.place;
    for (const auto& [name, text] :
         {std::pair("connection", &sensor.connection), {"table", &sensor.table}, {"where", &sensor.where}}) {
        if (text->empty()) continue;
        auto value = config::Node::scalar(filled(text->value, values), true);
        value.place = text->place;
        node.entries.push_back({name, text->place, value});
    }
    return node;
}

}  // namespace

struct Sensors::Sought {
    std::string file, url;
    config::Node table{};
    const config::PipelineConfig* waiting = nullptr;
    Clock::duration every{};
    Clock::time_point next{};
    bool is_found = false;
};

Status validate_sensors(const config::Document& document, const config::PipelineConfig& pipeline) {
    for (const auto& sensor : document.scheduling_of(pipeline).wait_for) {
        if (sensor.value.table.empty()) continue;
        auto table = asked_for(sensor.value, {});
        if (auto can = OtherTable(document, pipeline, table, {}, OtherTable::Asks::any_row).validate(); !can) {
            can.error().hint = "name a connection that is read by SQL";
            return can;
        }
    }
    return {};
}

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
        if (!one.value.table.empty()) made->table = asked_for(one.value, values);
        made->waiting = pipeline;
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

bool Sensors::is_there(const Sought& one, io::HttpClient& client, const std::stop_token& stop) const {
    bool there = !one.file.empty()  ? file_is_there(one.file)
                 : !one.url.empty() ? answers(client, one.url, stop)
                                    : has_row(document_, *one.waiting, one.table, stop);
    if (there)
        log::info("{} is there", !one.file.empty()  ? one.file
                                 : !one.url.empty() ? one.url
                                                    : check::other_in_words(one.table));
    return there;
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
            bool there = is_there(*one, client, stop);
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
