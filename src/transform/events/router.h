#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/route.h"
#include "transform/events/value_reader.h"

namespace penstock::events {

/// Says where an event goes by one of its fields, reading no further than that.
class Router {
  public:
    explicit Router(const config::Route& route);

    static constexpr int nowhere = -1;   ///< the refusal says why
    static constexpr int filtered = -2;  ///< `unmatched: ignore`
    /// The index of the route.
    int route(std::string_view json, const JsonIndex& index, Refusal& refusal) const;

  private:
    int refuse(Refusal& refusal, std::string code, std::string reason) const;

    std::string by_;
    std::vector<std::string> path_;
    bool ignore_unmatched_;
    std::map<std::string, int, std::less<>> routes_;
};

}  // namespace penstock::events
