#pragma once

#include <array>
#include <string_view>

namespace penstock::app {

/// The keeper is this program once more, between a run and a program that the run starts. Whatever the program starts becomes the
/// keeper's own when its parent goes (PR_SET_CHILD_SUBREAPER), so that the keeper can end all of it: when the program has ended, when
/// it is told to, and when the run's process is gone, however it went.

inline constexpr std::string_view keeper_name = "penstock-keeper";

/// Its file descriptors beside the usual three.
inline constexpr int orders_end = 3;   ///< reads an order; at the end of it the run is gone
inline constexpr int reports_end = 4;  ///< writes one Report

/// An order: ask it to end (SIGTERM), and end it all the same when `patience_seconds` are over.
inline constexpr char order_to_stop = 's';
inline constexpr int patience_seconds = 10;

/// What became of the program.
struct Report {
    enum What : int { not_started, ended, killed };
    int what = not_started;
    int value = 0;  ///< of errno, its exit code, the signal
};

/// The keeper's whole life: runs `words[1…]`.
int keep(char** words);

}  // namespace penstock::app
