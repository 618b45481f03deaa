#include "state/dialect.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::state {

const Dialect& Dialect::of(Engine engine) {
    switch (engine) {
        case Engine::sqlite: return sqlite_dialect();
        case Engine::mysql: return mysql_dialect();
        case Engine::postgres: return postgres_dialect();
    }
    std::unreachable();
}

std::string message_of(const std::exception& error) {
    const auto* known = dynamic_cast<const soci::soci_error*>(&error);
    std::string text = known != nullptr ? known->get_error_message() : error.what();
    for (std::string_view ceremony :
         {"Cannot establish connection to the database.\n", "Cannot execute query. ", "Fatal error. "})
        if (text.starts_with(ceremony)) text.erase(0, ceremony.size());
    text.erase(std::min(text.find("\n\tThis probably means"), text.size()));
    while (text.ends_with('\n')) text.pop_back();
    replace_each(text, "\n", " ");
    replace_each(text, "\t", "");
    return redact(text);
}

void replace_each(std::string& text, std::string_view what, std::string_view with) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
        text.replace(at, what.size(), with);
}

Error server_refused(const Place& place, const std::exception& error) {
    return {
        .kind = ErrorKind::refused,
        .code = "state_refused",
        .message = fmt::format("the state cannot be used: {}", message_of(error)),
        .where = place.shown,
        .hint =
            "look at user, password, database and certificate in `state:` or --state; `penstock doctor` tries them"};
}

Error server_unavailable(const Place& place, const std::exception& error) {
    return {.kind = ErrorKind::unavailable,
            .code = "state_unavailable",
            .message = fmt::format("the state does not answer: {}", message_of(error)),
            .where = place.shown,
            .hint = "start that server, or name another one by `state:` or --state"};
}

Error server_busy(const Place& place) {
    return {.kind = ErrorKind::conflict,
            .code = "state_busy",
            .message = fmt::format("other processes have been writing the state for more than {} s", busy_time.count()),
            .where = place.shown,
            .hint = "look for a transaction there that does not end"};
}

}  // namespace penstock::state
