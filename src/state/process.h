#pragma once

#include <cstdint>
#include <string>

namespace penstock::state {

/// A process as others can recognise it later, so that a lock's holder can be told from a stranger with its pid.
struct Process {
    int64_t pid = 0;
    int64_t started = 0;  ///< clock ticks since boot, /proc/<pid>/stat
    std::string host;     ///< name, for people
    std::string machine;  ///< boot id and pid namespace: where `pid` means something

    bool operator==(const Process&) const = default;
};

Process this_process();

enum class Alive { yes, no, unknown };

/// Unknown for a process of another machine, or of another boot of this one.
Alive alive(const Process& process);

}  // namespace penstock::state
