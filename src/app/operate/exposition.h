#pragma once

#include <string>

#include "app/operate/metrics_writer.h"

namespace penstock::app {

/// Metrics as Prometheus reads them: its text format, version 0.0.4.
class Exposition : public MetricsWriter {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help) override;
    void sample(const Labels& labels, double value, std::string_view suffix = "") override;

    const std::string& text() const { return text_; }

    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

  private:
    std::string text_;
    std::string name_;
};

}  // namespace penstock::app
