#include "config/diagnostics.h"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <utility>

namespace penstock::config {
namespace {

/// Line and column from the end of "file:line:column"; the file may hold colons of its own.
std::pair<int, int> position(const Error& error) {
    size_t column = error.where.rfind(':');
    size_t line = column == 0 || column == std::string::npos ? std::string::npos : error.where.rfind(':', column - 1);
    if (line == std::string::npos) return {0, 0};
    return {std::atoi(error.where.c_str() + line + 1), std::atoi(error.where.c_str() + column + 1)};
}

}  // namespace

void Diagnostics::add(Error error) {
    ++total_;
    if (errors_.size() < most_kept) errors_.push_back(std::move(error));
}

Error Diagnostics::error() const {
    if (total_ == 1) return errors_.front();
    std::multimap<std::pair<int, int>, const Error*> sorted;  // keeps the order of insertion within a place
    for (const auto& error : errors_) sorted.emplace(position(error), &error);
    std::string message = fmt::format("the configuration has {} problems:", total_);
    for (const auto& [at, found] : sorted) {
        const Error& error = *found;
        message += error.where.empty() ? fmt::format("\n  {}", error.message)
                                       : fmt::format("\n  {}: {}", error.where, error.message);
        if (!error.hint.empty()) message += fmt::format("\n    hint: {}", error.hint);
    }
    if (total_ > errors_.size()) message += fmt::format("\n  and {} more", total_ - errors_.size());
    return {.kind = ErrorKind::configuration,
            .code = "configuration_invalid",
            .message = std::move(message),
            .where = sorted.begin()->second->where};
}

Status Diagnostics::status() const {
    if (empty()) return {};
    return fail(error());
}

}  // namespace penstock::config
