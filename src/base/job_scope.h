#pragma once

#include <string>

namespace penstock::log {

/// Whose job the lines of this thread speak of, until the scope ends: organization_id and job_id in JSON. Within a Scope.
class JobScope {
  public:
    JobScope(std::string organization, std::string job);
    ~JobScope();
    JobScope(const JobScope&) = delete;
    JobScope& operator=(const JobScope&) = delete;
};

}  // namespace penstock::log
