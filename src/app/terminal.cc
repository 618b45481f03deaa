#include "app/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace penstock::app {
namespace {

bool takes_colour(bool is_terminal) {
    if (!is_terminal) return false;
    // https://no-color.org: present and not empty means no colour.
    const char* no_color = std::getenv("NO_COLOR");
    if (no_color != nullptr && *no_color != '\0') return false;
    const char* terminal = std::getenv("TERM");
    return terminal == nullptr || std::string_view(terminal) != "dumb";
}

std::string_view code_of(Colour colour) {
    switch (colour) {
        case Colour::red: return "\x1b[31m";
        case Colour::green: return "\x1b[32m";
        case Colour::yellow: return "\x1b[33m";
        case Colour::blue: return "\x1b[34m";
        case Colour::dim: return "\x1b[2m";
        case Colour::bold: return "\x1b[1m";
    }
    std::unreachable();
}

std::string paint(bool coloured, Colour colour, std::string_view text) {
    if (!coloured || text.empty()) return std::string(text);
    return std::string(code_of(colour)).append(text).append("\x1b[0m");
}

}  // namespace

bool stdout_is_terminal() { return isatty(STDOUT_FILENO) != 0; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) != 0; }

size_t terminal_width() {
    winsize size{};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

std::string paint_stdout(Colour colour, std::string_view text) {
    static const bool coloured = takes_colour(stdout_is_terminal());
    return paint(coloured, colour, text);
}

std::string paint_stderr(Colour colour, std::string_view text) {
    static const bool coloured = takes_colour(stderr_is_terminal());
    return paint(coloured, colour, text);
}

}  // namespace penstock::app
