#pragma once

#include <map>
#include <memory>

#include "app/placeholders.h"
#include "config/document.h"
#include "flow/runner.h"

namespace penstock::app {

/// What can be known of a pipeline's `for_each` and `jobs` without connecting.
Status validate_for_each(const config::Document& document, const config::PipelineConfig& pipeline);

/// Reads the tables that pipelines stand `for_each` row of, and puts in each such pipeline's place one for every row:
/// `billing--acme`, with the row's values in source, target and the options of their connections. A row whose values cannot be used
/// gives a pipeline that says so when it is run; the others do not mind. Connects only where there is a `for_each`.
/// Parameters stand for `{param.NAME}` in any pipeline; one that is called as the key of `for_each` says which rows are meant.
/// The values of `window` stand for `{window.NAME}`, by pipeline as the file names it.
using Windows = std::map<std::string, Filling::Values>;
Status expand_for_each(config::Document& document, const Parameters& parameters = {}, const Windows& windows = {});

/// Where the runs of pipelines with `jobs` leave what became of them. Each table is opened once, when it is first needed.
class JobTables {
  public:
    explicit JobTables(const config::Document& document);
    ~JobTables();

    /// The caller has the pipeline's lock. Nothing happens for a pipeline without `jobs`.
    Status begin(const config::PipelineConfig& pipeline, const flow::RunIdentity& run);
    Status end(const config::PipelineConfig& pipeline, const flow::RunResult& result);

  private:
    Status note_success(const config::PipelineConfig& pipeline, const flow::RunResult& result);

    struct Opened;
    const config::Document& document_;
    std::unique_ptr<Opened> opened_;
};

}  // namespace penstock::app
