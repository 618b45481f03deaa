#pragma once

#include "app/options.h"

namespace CLI {
class App;
}

namespace penstock::app {

/// `export` and what stands behind it.
void declare_exports(CLI::App& program, Options& options);

}  // namespace penstock::app
