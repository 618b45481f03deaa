#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::app {

/// Metrics as Prometheus reads them: its text format, version 0.0.4. Families one after the other, each with its samples.
class Exposition {
  public:
    using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

    /// `type` is counter, gauge or histogram.
    void family(std::string_view name, std::string_view type, std::string_view help);
    /// Of the family begun last; `suffix` is "", or one of a histogram's: _bucket, _sum, _count.
    void sample(const Labels& labels, double value, std::string_view suffix = "");

    const std::string& text() const { return text_; }

    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

  private:
    std::string text_;
    std::string name_;
};

}  // namespace penstock::app
