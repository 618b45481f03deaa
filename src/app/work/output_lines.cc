#include "app/work/output_lines.h"

#include <algorithm>
#include <cctype>

#include "base/log.h"
#include "base/secret.h"

namespace penstock::app {
namespace {

constexpr size_t longest_line = 8000;
constexpr size_t most_kept = 20;

}  // namespace

void OutputLines::add(std::string_view bytes) {
    while (!bytes.empty()) {
        auto end = std::min(bytes.find('\n'), bytes.size());
        begun_.append(bytes.substr(0, std::min(end, longest_line - begun_.size())));
        bool ends = end < bytes.size();
        bytes.remove_prefix(ends ? end + 1 : end);
        // The rest of a longer one is left out.
        if (ends) finish();
    }
}

void OutputLines::finish() {
    tell(begun_);
    begun_.clear();
}

void OutputLines::tell(std::string_view line) {
    constexpr std::string_view form = "00:00:00";
    auto is_time = [&](std::string_view text) {
        return std::ranges::equal(text.substr(0, form.size()), form,
                                  [](unsigned char c, char as) { return as == ':' ? c == ':' : std::isdigit(c) != 0; });
    };
    if (tells_time_ && is_time(line)) line.remove_prefix(form.size());
    auto end = line.find_last_not_of(" \t\r");
    if (end == line.npos) return;
    line = line.substr(0, end + 1);
    if (tells_time_) line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    auto shown = redact(std::string(line));
    log::info("{}", shown);
    last_.push_back(std::move(shown));
    if (last_.size() > most_kept) last_.pop_front();
}

}  // namespace penstock::app
