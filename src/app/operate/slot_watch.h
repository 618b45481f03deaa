#pragma once

#include <functional>
#include <thread>

#include "config/document.h"

namespace penstock::app {

/// Asks the servers that changes are captured from, twice a minute, how much they keep for their slots, and puts it on record
/// (state/measures.h). Of several processes the one that leads does; where nothing captures changes, nothing is asked.
class SlotWatch {
  public:
    /// The document must outlive this.
    SlotWatch(const config::Document& document, std::function<bool()> leads);
    ~SlotWatch();

  private:
    void keep_looking(std::stop_token stop) const;
    Status look(const std::string& connection, const std::stop_token& stop) const;

    const config::Document& document_;
    const std::function<bool()> leads_;
    std::vector<std::string> connections_;
    std::jthread looking_;
};

}  // namespace penstock::app
