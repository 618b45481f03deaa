#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <thread>

#include "flow/memory.h"

namespace penstock::flow {
namespace {

Error fault(ErrorKind kind, std::string_view call, const char* what) {
    return {.kind = kind, .code = "fault", .message = fmt::format("{} at {}", what, call)};
}

}  // namespace

Status MemoryFaults::at(std::string_view call) {
    std::unique_lock lock(mutex_);
    if (crashed_) return fail(fault(ErrorKind::internal, call, "the process is dead"));
    Status due;
    for (auto& planned : planned_) {
        if (planned.call != call || --planned.left != 0) continue;
        if (!planned.kind) throw std::runtime_error(fmt::format("planned exception at {}", call));
        due = fail(fault(*planned.kind, call, "planned fault"));
    }
    PN_CHECK(std::move(due));
    double dice = std::uniform_real_distribution<double>(0, 1)(random_);
    if ((dice -= rates_.unavailable) < 0) return fail(fault(ErrorKind::unavailable, call, "seeded fault"));
    if ((dice -= rates_.refused) < 0) return fail(fault(ErrorKind::refused, call, "seeded fault"));
    if ((dice -= rates_.crash) < 0) {
        crashed_ = true;
        return fail(fault(ErrorKind::internal, call, "crash"));
    }
    if ((dice -= rates_.thrown / 2) < 0) throw std::bad_alloc();
    if ((dice -= rates_.thrown / 2) < 0) throw std::runtime_error(fmt::format("seeded exception at {}", call));
    bool delayed = (dice -= rates_.delay) < 0;
    lock.unlock();
    if (delayed) std::this_thread::yield();
    return {};
}

void MemoryFaults::fail_at(std::string call, int64_t nth, ErrorKind kind) {
    std::scoped_lock lock(mutex_);
    planned_.push_back({std::move(call), nth, kind});
}

void MemoryFaults::throw_at(std::string call, int64_t nth) {
    std::scoped_lock lock(mutex_);
    planned_.push_back({std::move(call), nth, std::nullopt});
}

bool MemoryFaults::crashed() const {
    std::scoped_lock lock(mutex_);
    return crashed_;
}

void MemoryFaults::restart() {
    std::scoped_lock lock(mutex_);
    crashed_ = false;
}

void MemoryFaults::calm() {
    std::scoped_lock lock(mutex_);
    rates_ = {};
    planned_.clear();
}

}  // namespace penstock::flow
