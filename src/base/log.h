#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace penstock::log {

enum class Level { debug, info, warning, error };
enum class Format { text, json };

/// Where lines go (always stderr) and how they look. Call once from main.
void setup(Format format, Level level);

/// Whoever draws on the terminal gets each line's writing handed over, to make room and draw again; empty ends that. The
/// function may be called from any thread and must not log.
void set_interleave(std::function<void(const std::function<void()>& write_line)> around);

/// Fields every line of this thread carries until the scope ends.
class Scope {
  public:
    Scope(std::string pipeline, std::string run_id);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
};

/// Writes one line; `metadata_json` is a JSON object or empty. Secrets are redacted here, the last gate.
void write(Level level, std::string_view message, std::string_view metadata_json = {});

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace penstock::log
