#pragma once

#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::app {

/// The configuration's folder in a container.
inline constexpr std::string_view configuration_folder = "/etc/penstock";

/// What has to be given to a container beside its image.
struct WantedVariable {
    std::string name;
    bool required = false;  ///< `${NAME}`; false: `${NAME:-default}` everywhere
};

/// A file that the configuration refers to.
struct WantedFile {
    std::string path;  ///< as it is written: absolute, or relative to the configuration
    bool secret = false;
    std::string text;  ///< of one that is not secret
    std::string key;   ///< of a ConfigMap or Secret, unique among the files
    /// Below the configuration's folder in a container; "" of a place that is elsewhere.
    std::string beside() const;
};

/// The files that a configuration refers to. `written` is the configuration before its references were resolved; `open` is given those that
/// are named by references. Errors: a file that a ConfigMap cannot hold.
Result<std::vector<WantedFile>> wanted_files(const config::Document& document, const config::Node& written,
                                             std::vector<std::string>& open);

/// Fails where a secret is written out, and would be for all to read: in a ConfigMap.
Status check_written_secrets(const config::Node& written);

/// The references of all texts below `node`, in their order, each variable once.
std::vector<WantedVariable> wanted_variables(const config::Node& node);

}  // namespace penstock::app
