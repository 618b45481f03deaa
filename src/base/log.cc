#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/clock.h"
#include "base/job_scope.h"
#include "base/log_listener.h"
#include "base/redacted.h"
#include "base/secret.h"
#include "base/visible.h"

namespace penstock::log {
namespace {

Format active_format = Format::text;

std::mutex interleave_mutex;
std::function<void(const std::function<void()>&)> interleave;

std::mutex listening_mutex;
std::vector<const Listener*> listening;
std::atomic<size_t> listeners = 0;  ///< so that nobody waits where nobody listens

thread_local std::string scope_pipeline;
thread_local std::string scope_run_id;
thread_local std::string scope_organization;
thread_local std::string scope_job;

nlohmann::json text_or_null(const std::string& text) {
    return text.empty() ? nlohmann::json(nullptr) : nlohmann::json(text);
}

spdlog::logger& logger() {
    static auto instance = [] {
        auto made = std::make_shared<spdlog::logger>("penstock", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%v");
        return made;
    }();
    return *instance;
}

spdlog::level::level_enum spd_level(Level level) {
    switch (level) {
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warning: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
    }
    std::unreachable();
}

std::string_view name(Level level) {
    switch (level) {
        case Level::debug: return "debug";
        case Level::info: return "info";
        case Level::warning: return "warning";
        case Level::error: return "error";
    }
    std::unreachable();
}

/// Redacted value by value: in JSON's own text a secret with quotes is not found, and a short one blots out what is none.
std::string json_line(Level level, std::string_view message, std::string_view metadata_json) {
    nlohmann::ordered_json line = {{"timestamp", iso_time(now())},
                                   {"level", name(level)},
                                   {"service", "penstock"},
                                   {"pipeline", scope_pipeline},
                                   {"organization_id", text_or_null(scope_organization)},
                                   {"job_id", text_or_null(scope_job)},
                                   {"run_id", scope_run_id},
                                   {"message", redact(std::string(message))}};
    auto metadata = nlohmann::ordered_json::parse(metadata_json, nullptr, false);
    line["metadata"] = metadata.is_object() ? redacted(std::move(metadata)) : nlohmann::ordered_json::object();
    // A library's message may hold bytes that are not UTF-8; a log line must not fail over them.
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string text_line(Level level, std::string_view message) {
    std::string prefix = scope_pipeline.empty() ? std::string() : scope_pipeline + ": ";
    return fmt::format("{} {:<7} {}{}", iso_time(now()).substr(11, 12), name(level), prefix,
                       visible(message, Shown::line));
}

/// The text up to so many bytes, at the end of a character.
std::string_view cut(std::string_view text, size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return text.substr(0, most);
}

/// Redacted before it is cut: half a secret would not be found.
std::string heard_line(Level level, std::string_view message, std::string_view metadata_json) {
    auto line = json_line(level, message, metadata_json);
    if (line.size() <= most_heard) return line;
    auto whole = redact(std::string(message)), details = std::string(metadata_json);
    if (details.size() > most_heard / 2) details = fmt::format(R"({{"left_out_bytes": {}}})", details.size());
    return json_line(level, fmt::format("{} …", cut(whole, most_heard / 4)), details);
}

}  // namespace

Listener::Listener(std::string run_id, bool hears_strays, Hear hear)
    : run_id_(std::move(run_id)), hears_strays_(hears_strays), hear_(std::move(hear)) {
    std::lock_guard lock(listening_mutex);
    listening.push_back(this);
    ++listeners;
}

Listener::~Listener() {
    std::lock_guard lock(listening_mutex);
    std::erase(listening, this);
    --listeners;
}

void Listener::hear(Level level, std::string_view message, std::string_view metadata_json) const {
    hear_(heard_line(level, message, metadata_json));
}

void setup(Format format, Level level) {
    active_format = format;
    logger().set_level(spd_level(level));
    logger().flush_on(spdlog::level::info);
}

void set_interleave(std::function<void(const std::function<void()>&)> around) {
    std::lock_guard lock(interleave_mutex);
    interleave = std::move(around);
}

Scope::Scope(std::string pipeline, std::string run_id) {
    scope_pipeline = std::move(pipeline);
    scope_run_id = std::move(run_id);
}

Scope::~Scope() {
    scope_pipeline.clear();
    scope_run_id.clear();
}

JobScope::JobScope(std::string organization, std::string job) {
    scope_organization = std::move(organization);
    scope_job = std::move(job);
}

JobScope::~JobScope() {
    scope_organization.clear();
    scope_job.clear();
}

void write(Level level, std::string_view message, std::string_view metadata_json) {
    if (listeners > 0 && level >= Level::info) {
        std::lock_guard lock(listening_mutex);
        for (const auto* one : listening)
            if (one->hears(scope_run_id)) one->hear(level, message, metadata_json);
    }
    if (!logger().should_log(spd_level(level))) return;
    std::string line =
        active_format == Format::json ? json_line(level, message, metadata_json) : redact(text_line(level, message));
    auto write_line = [&] { logger().log(spd_level(level), "{}", line); };
    std::lock_guard lock(interleave_mutex);
    if (interleave) interleave(write_line);
    else write_line();
}

}  // namespace penstock::log
