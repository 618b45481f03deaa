#pragma once

#include <string_view>

namespace penstock::app {

/// The Python file without its data: @POOLS@, @FILE@ and @DAGS@ stand for them.
extern const std::string_view airflow_program;

}  // namespace penstock::app
