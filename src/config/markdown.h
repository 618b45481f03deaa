#pragma once

#include <string>

#include "config/catalog.h"

namespace penstock::config {

/// Reference pages, generated so that they say what the program does.

/// The options of one spec as a Markdown table; options of nested maps follow as `tls.mode`.
std::string options_markdown(const SpecBase& spec);

/// One page a component: its connection, what it reads and what it writes.
std::string component_markdown(const ComponentSpecs& component);

/// The page of the file itself: top level, defaults, pipelines, references, and the list of components. Links to a
/// component's page as `<type>.md`.
std::string configuration_markdown(const Catalog& catalog);

}  // namespace penstock::config
