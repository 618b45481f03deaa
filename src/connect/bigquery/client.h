#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/options.h"
#include "connect/bigquery/sql.h"
#include "io/google_error.h"
#include "io/http.h"
#include "io/retry.h"
#include "io/token.h"

namespace penstock::bigquery {

using Json = nlohmann::json;

/// The calls of BigQuery's REST API (v2), authorised and tried again by Google's rules. One thread.
class Client {
  public:
    static Result<std::unique_ptr<Client>> make(const ConnectionOptions& options, std::stop_token stop);

    /// Answers of a status in `expected` are no errors: nothing is handed back for them. `path` goes below
    /// /bigquery/v2/projects/<project>, `what` says for people what is tried: "create table d.t".
    Result<std::optional<Json>> call(const std::string& method, const std::string& path, const Json* body,
                                     const std::string& what, std::initializer_list<int> expected = {});
    /// The same in another project, for looking at its tables: jobs are always the connection's own.
    Result<std::optional<Json>> call_in(const std::string& project, const std::string& method, const std::string& path,
                                        const Json* body, const std::string& what,
                                        std::initializer_list<int> expected = {});
    /// A load job whose data is the file. Nothing where a job of its id is there already.
    Result<std::optional<Json>> upload_job(const Json& job, const io::FileBody& file, const std::string& what);

    /// Wakes up when the client is stopped.
    bool wait(std::chrono::milliseconds delay) const;
    bool stopped() const { return stop_.stop_requested(); }
    /// The run is over: from now on calls go through although it was stopped, so that it can tidy up, but none takes long.
    void begin_last_calls();

    const ConnectionOptions& options() const { return options_; }
    const std::string& project() const { return options_.project.value; }
    const std::string& location() const { return options_.location.value; }
    std::string who() const;
    TableId table(std::string_view dotted) const { return TableId::parse(project(), dotted); }
    TableId bookkeeping(std::string table) const { return {project(), options_.bookkeeping.value, std::move(table)}; }

  private:
    Client(const ConnectionOptions& options, std::stop_token stop);
    Result<io::Response> send(io::Request request);
    std::string url(std::string_view service, const std::string& project, const std::string& path) const;

    ConnectionOptions options_;
    std::stop_token stop_;
    io::HttpClient http_;
    std::unique_ptr<io::TokenCache> token_;  ///< none for an emulator
    io::RetrySettings retries_;
};

/// What BigQuery said, as an Error that names who must act.
Error api_error(const io::GoogleError& error, const std::string& what);

}  // namespace penstock::bigquery
