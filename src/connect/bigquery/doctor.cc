#include "connect/bigquery/doctor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "config/spec.h"
#include "connect/bigquery/jobs.h"

namespace penstock::bigquery {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

Finding problem(std::string what, const Error& error) {
    return {.severity = Severity::problem, .what = std::move(what), .detail = error.message, .fix = error.hint};
}

/// A dry run costs nothing and needs the right to begin jobs.
Finding jobs_finding(Client& client) {
    Jobs jobs(client, {});
    auto tried = jobs.estimate({.sql = "SELECT 1", .what = "begin a job in project " + client.project()});
    if (!tried) return problem("jobs", tried.error());
    return {.what = "jobs",
            .detail = fmt::format("project {} at {} takes jobs of {}", client.project(),
                                  client.options().endpoint.value, client.who()),
            .fix = ""};
}

Finding bookkeeping_finding(Client& client) {
    const auto& dataset = client.options().bookkeeping.value;
    auto found = client.call("GET", "/datasets/" + dataset, nullptr, "look at dataset " + dataset, {404});
    if (!found) return problem("bookkeeping", found.error());
    if (!*found)
        return {.what = "bookkeeping",
                .detail = fmt::format("dataset {} does not exist yet; the first run creates it", dataset),
                .fix = ""};
    auto location = (*found)->value("location", "");
    if (!same_name(location, client.location()))
        return {.severity = Severity::problem,
                .what = "bookkeeping",
                .detail = fmt::format("dataset {} is in {}, and the connection says {}", dataset, location,
                                      client.location()),
                .fix = fmt::format(
                    "write location: {}, or name another dataset under `bookkeeping`: one transaction is in one "
                    "location",
                    location)};
    return {.what = "bookkeeping", .detail = fmt::format("dataset {} is in {}", dataset, location), .fix = ""};
}

}  // namespace

Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&,
                                    std::stop_token stop) {
    PN_TRY(auto options, connection_spec().parse(connection));
    options.retry_for = std::min<std::chrono::microseconds>(options.retry_for, std::chrono::seconds(15));
    PN_TRY(auto client, Client::make(options, stop));
    std::vector<Finding> findings = {jobs_finding(*client)};
    if (findings.front().severity == Severity::ok) findings.push_back(bookkeeping_finding(*client));
    return findings;
}

}  // namespace penstock::bigquery
