#pragma once

#include <functional>
#include <stop_token>
#include <thread>

#include "app/operate/run_story.h"
#include "config/document.h"

namespace penstock::app::telemetry {

/// The trace of a run that has ended waits in this process for whoever sends it; of very many the oldest go. Any thread. Nothing
/// happens where no endpoint is named (settings.h).
void keep_trace(const RunStory& story, const flow::RunResult& result);

/// For a process that is about to end: traces that wait, and metrics as they are now. An endpoint that does not answer is said in
/// the log and costs its timeout, of a process that was stopped three seconds.
void send_all(const config::Document& document, const std::stop_token& stop);

/// Of a server: traces within a second, metrics at their interval while this process leads; the last of both at its end.
class Exporter {
  public:
    /// The document must outlive this.
    Exporter(const config::Document& document, std::function<bool()> leads);
    ~Exporter();

  private:
    void keep_sending(std::stop_token stop) const;

    const config::Document& document_;
    const std::function<bool()> leads_;
    std::jthread sending_;
};

}  // namespace penstock::app::telemetry
