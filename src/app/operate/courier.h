#pragma once

#include <chrono>
#include <thread>

#include "config/document.h"

namespace penstock::app {

/// Carries news from the state to its receivers, one after the other, for as long as it exists. What fails for the moment is tried again,
/// ever less often, for a day; what the receiver refuses is given up and said in the log. Of several processes any may have one.
class Courier {
  public:
    /// The document must outlive this. Does nothing where nobody is told anything.
    explicit Courier(const config::Document& document);
    ~Courier();

  private:
    void keep_carrying(std::stop_token stop) const;

    const config::Document& document_;
    std::jthread carrying_;
};

/// For a process that is about to end: carries what is due until nothing is, or ten seconds are over. What is left waits in the state for
/// the next process of the project.
void carry_news(const config::Document& document, const std::stop_token& stop);

}  // namespace penstock::app
