#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/document.h"
#include "flow/component.h"
#include "flow/slots.h"

namespace penstock::app {

/// A connection of the configuration whose server has slots. The document must outlive it.
class SlotServer {
  public:
    SlotServer(const config::Document& document, const config::Connection& connection, std::stop_token stop)
        : document_(&document), connection_(&connection), stop_(std::move(stop)) {}

    const std::string& connection() const { return connection_->name; }
    Result<std::unique_ptr<flow::Slots>> open() const;
    Result<std::vector<flow::Slot>> list() const;

  private:
    const config::Document* document_;
    const config::Connection* connection_;
    std::stop_token stop_;
};

/// Those that are named, or all whose server has slots. A name that is none, or of a system without slots, is an error.
Result<std::vector<SlotServer>> slot_servers(const config::Document& document, const std::vector<std::string>& names,
                                             std::stop_token stop);

/// No name is every name.
inline std::vector<std::string> one_or_all(const std::string& name) {
    return name.empty() ? std::vector<std::string>() : std::vector<std::string>{name};
}

/// What a slot is, how much it keeps and how long it lasts.
/// `pipeline` reads it; "" none that is known.
nlohmann::ordered_json slot_json(const flow::Slot& slot, const std::string& pipeline);
std::string slot_fix(const flow::Slot& slot, const std::string& pipeline);

std::string shown_bytes(const std::optional<int64_t>& bytes);
std::string shown_seconds(const std::optional<double>& seconds);
/// "temporary, two-phase, failover, synced"
std::string slot_traits(const flow::Slot& slot);

}  // namespace penstock::app
