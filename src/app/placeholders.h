#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::app {

/// What a run is told from outside (`--param NAME=VALUE`, the fields of a message): values by name, several of a list.
using Parameters = std::map<std::string, std::vector<std::string>>;

/// "NAME=VALUE", each as often as it likes.
Result<Parameters> read_parameters(const std::vector<std::string>& given);

/// `{client.column}` in all texts of a node, as the values of one row or of parameters say.
class Filling {
  public:
    using Values = std::map<std::string, std::optional<std::string>>;  ///< nothing is NULL

    /// `noun` and `from` say what these are: "column", "client_billing_config".
    Filling(const std::string& as, std::string noun, std::string from, const Values& values)
        : noun_(std::move(noun)), from_(std::move(from)), values_(values), mark_("{" + as + ".") {}

    bool wanted_in(const config::Node& node) const;
    /// A value that could change the meaning of a name or of SQL is refused.
    Status fill(config::Node& node) const;

  private:
    Result<std::string> value_of(const config::Node& node, const std::string& column) const;

    std::string noun_, from_;
    const Values& values_;
    std::string mark_;
};

/// What parameters are called in placeholders: `{param.day}`.
inline constexpr const char* parameter_word = "param";
/// What the run's stretch of time is called in placeholders: `{window.start}`.
inline constexpr const char* window_word = "window";
/// Those that have one value.
Filling::Values single_values(const Parameters& parameters);

/// Whether source, target or their connections want what is known only when it runs: parameters or a window.
bool wants_parameters(const config::Document& document, const config::PipelineConfig& pipeline);
bool wants_window(const config::Document& document, const config::PipelineConfig& pipeline);

}  // namespace penstock::app
