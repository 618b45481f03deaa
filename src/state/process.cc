#include "state/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock::state {
namespace {

/// What stands behind the name in /proc/<pid>/stat: " S 1 …". The name may hold spaces and parentheses.
std::string stat_after_name(int64_t pid) {
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::stringstream text;
    text << file.rdbuf();
    std::string stat = text.str();
    auto name_end = stat.rfind(')');
    return name_end == stat.npos ? std::string() : stat.substr(name_end + 1);
}

/// Field 22; 0 when there is no such process, or only its zombie, which holds nothing any more.
int64_t start_time(int64_t pid) {
    std::string stat = stat_after_name(pid);
    if (stat.starts_with(" Z")) return 0;
    std::istringstream fields(stat);
    std::string field;
    for (int number = 3; number <= 22; ++number) fields >> field;
    return std::strtoll(field.c_str(), nullptr, 10);
}

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string machine_name() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string boot;
    std::getline(file, boot);
    std::error_code ignored;
    return boot + " " + std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
}

}  // namespace

Process this_process() {
    int64_t pid = ::getpid();
    return {.pid = pid, .started = start_time(pid), .host = host_name(), .machine = machine_name()};
}

Alive alive(const Process& process) {
    if (process.machine != machine_name()) return Alive::unknown;
    int64_t started = start_time(process.pid);
    return started != 0 && started == process.started ? Alive::yes : Alive::no;
}

}  // namespace penstock::state
