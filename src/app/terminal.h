#pragma once

#include <string>
#include <string_view>

namespace penstock::app {

/// Whether people look at standard output / standard error.
bool stdout_is_terminal();
bool stderr_is_terminal();

/// Columns of the terminal behind standard error; 80 when it does not say.
size_t terminal_width();

enum class Colour { red, green, yellow, blue, dim, bold };

/// The text in a colour where the stream is a terminal that takes it and NO_COLOR is unset; else the text as it is.
std::string paint_stdout(Colour colour, std::string_view text);
std::string paint_stderr(Colour colour, std::string_view text);

}  // namespace penstock::app
