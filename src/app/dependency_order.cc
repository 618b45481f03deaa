#include "app/dependency_order.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace penstock::app {
namespace {

/// Depth first, so that a pipeline comes right behind the last one it waits for.
class Walk {
  public:
    explicit Walk(const std::vector<Dependency>& nodes) {
        for (const auto& node : nodes) by_name_.emplace(node.name, &node);
    }

    Status visit(const Dependency& node) {
        if (std::ranges::find(order_, node.name) != order_.end()) return {};
        auto open = std::ranges::find(path_, node.name);
        if (open != path_.end()) return fail(cycle({open, path_.end()}));
        path_.push_back(node.name);
        for (const auto& before : node.after)
            if (auto found = by_name_.find(before); found != by_name_.end()) PN_CHECK(visit(*found->second));
        path_.pop_back();
        order_.push_back(node.name);
        return {};
    }

    std::vector<std::string> take() && { return std::move(order_); }

  private:
    static Error cycle(std::vector<std::string> names) {
        names.push_back(names.front());
        return {.kind = ErrorKind::configuration,
                .code = "dependency_cycle",
                .message = fmt::format("pipelines wait for one another: {}", fmt::join(names, " after ")),
                .hint = "remove one of these `after:` entries"};
    }

    std::map<std::string, const Dependency*> by_name_;
    std::vector<std::string> path_;
    std::vector<std::string> order_;
};

}  // namespace

Result<std::vector<std::string>> dependency_order(const std::vector<Dependency>& nodes) {
    Walk walk(nodes);
    for (const auto& node : nodes) PN_CHECK(walk.visit(node));
    return std::move(walk).take();
}

}  // namespace penstock::app
