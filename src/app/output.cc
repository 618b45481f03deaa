#include "app/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "app/terminal.h"
#include "base/secret.h"
#include "base/visible.h"

namespace penstock::app {

using Json = nlohmann::ordered_json;

Status print(std::string_view result) {
    std::string shown = visible(result, Shown::page);
    std::string_view text = shown;
    while (!text.empty()) {
        auto written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0)
            return fail({.kind = ErrorKind::capacity,
                         .code = "output_failed",
                         .message = fmt::format("standard output could not be written: {}", std::strerror(errno)),
                         .hint = "what was asked for was done; `penstock runs` shows it"});
        text.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

Status print_json(const Json& value) { return print(value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

Json error_json(const Error& error) {
    std::string message = error.message;
    for (const Error* inner = error.cause.get(); inner != nullptr; inner = inner->cause.get())
        message += ": " + inner->message;
    return {{"code", error.code},
            {"message", redact(message)},
            {"where", redact(error.where)},
            {"hint", redact(error.hint)}};
}

void print_error(const Error& error, log::Format format) {
    if (format == log::Format::json) {
        Json details = error_json(error);
        std::string message = details["message"];
        details.erase("message");
        log::write(log::Level::error, message, details.dump(-1, ' ', false, Json::error_handler_t::replace));
        return;
    }
    std::string text = redact(error.text());
    constexpr std::string_view label = "error:";
    if (text.starts_with(label)) text = paint_stderr(Colour::red, label) + text.substr(label.size());
    fmt::print(stderr, "{}\n", visible(text, Shown::page));
}

}  // namespace penstock::app
