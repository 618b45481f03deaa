#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "connect/postgres/read_plan.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// One COPY of a table's read: a leaf's pages [first, last), or a leaf or query as a whole.
struct Range {
    std::string statement;
    std::string shown;  ///< for people: public.events pages 0 to 4,095
};

struct RangeRequest {
    const TableRead& read;
    std::string condition;  ///< beyond the user's where; "" none
    unsigned parallel = 1;
    int64_t limit = -1;
};

/// Divides a read into COPY statements that together select every row once. By pages where the server can seek to a range of
/// them (PostgreSQL 14) and would not use an index; `session` is asked how it would run the condition.
Result<std::vector<Range>> divide(const RangeRequest& request, Session& session);

/// Rows and bytes a read is expected to give, by the server's planner; -1 when it cannot say.
struct Estimate {
    int64_t rows = -1;
    int64_t bytes = -1;
    bool by_index = false;
};
Result<Estimate> estimate(const TableRead& read, const std::string& condition, Session& session);

}  // namespace penstock::postgres
