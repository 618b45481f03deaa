#include "base/error.h"

#include <fmt/format.h>

namespace penstock {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::usage: return "usage";
        case ErrorKind::configuration: return "configuration";
        case ErrorKind::data: return "data";
        case ErrorKind::schema: return "schema";
        case ErrorKind::unavailable: return "unavailable";
        case ErrorKind::refused: return "refused";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::capacity: return "capacity";
        case ErrorKind::check_failed: return "check_failed";
        case ErrorKind::budget: return "budget";
        case ErrorKind::interrupted: return "interrupted";
        case ErrorKind::internal: return "internal";
    }
    std::unreachable();
}

int exit_code(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::usage:
        case ErrorKind::configuration: return 2;
        case ErrorKind::check_failed: return 3;
        case ErrorKind::budget: return 4;
        case ErrorKind::interrupted: return 130;
        case ErrorKind::data:
        case ErrorKind::schema:
        case ErrorKind::unavailable:
        case ErrorKind::refused:
        case ErrorKind::conflict:
        case ErrorKind::capacity:
        case ErrorKind::internal: return 1;
    }
    std::unreachable();
}

std::string Error::text() const {
    std::string out = fmt::format("error: {}", message);
    if (!where.empty()) out += fmt::format("\n  at: {}", where);
    for (const Error* inner = cause.get(); inner != nullptr; inner = inner->cause.get())
        out += fmt::format("\n  because: {}", inner->message);
    if (!hint.empty()) out += fmt::format("\n  hint: {}", hint);
    return out;
}

}  // namespace penstock
