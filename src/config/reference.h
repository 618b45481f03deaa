#pragma once

#include <functional>
#include <optional>
#include <string>

#include "config/diagnostics.h"
#include "config/node.h"

namespace penstock::config {

/// Where references find their values; replaced in tests.
struct Surroundings {
    /// The environment variable, or nothing when unset. An empty variable is set.
    std::function<std::optional<std::string>(const std::string& name)> variable;
    /// The content of a file, for `${file:…}`; `path` is absolute or relative to the working directory.
    std::function<Result<std::string>(const std::string& path)> file;

    /// The environment and the files of this process; files of at most 1 MiB.
    static const Surroundings& of_process();
};

/// Replaces the references in every scalar below `root`:
///
///     ${NAME}  ${NAME:-default}   an environment variable; the default also stands in for an empty one, as in the shell
///     ${file:path}                the content of a file without its last line break; relative to the configuration file
///     ${gcp-secret:…} ${vault:…}  recognised, and answered by an error: not in this version
///     $${                         the two characters `${`
///
/// Keys are left alone. A replaced scalar remembers how it was written (`Node::reference`) and what each reference stood for
/// (`Node::resolved`), so that messages never show the value. Every unset variable and unreadable file is reported.
void resolve_references(Node& root, const Surroundings& surroundings, Diagnostics& diagnostics);

}  // namespace penstock::config
