#include "connect/bigquery/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "config/spec.h"
#include "connect/bigquery/fingerprint.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
}

std::unexpected<Error> refuse(const config::Place& place, std::string code, std::string message, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = std::move(code),
                 .message = std::move(message),
                 .where = place.text(),
                 .hint = std::move(hint)});
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// "Creating and managing labels": keys and values.
bool is_label(std::string_view text) {
    return text.size() <= 63 && std::ranges::all_of(text, [](unsigned char c) {
               return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '_' || c == '-' || c >= 0x80;
           });
}

Status check_labels(const ConnectionOptions& options) {
    for (const auto& [key, value] : options.labels)
        if (key.empty() || !is_label(key) || !is_label(value) || key.starts_with("penstock_"))
            return fail(
                {.kind = ErrorKind::configuration,
                 .code = "bad_label",
                 .message = fmt::format("\"{}: {}\" cannot be a label", key, value),
                 .hint = "keys and values are up to 63 lower-case letters, digits, - and _; penstock_… is taken"});
    return {};
}

Status check_endpoint(const ConnectionOptions& options, const config::Text& endpoint, const char* googles) {
    auto origin = io::origin_of(endpoint.value);
    if (!origin)
        return refuse(endpoint.place, "bad_endpoint", fmt::format("\"{}\" is no endpoint", endpoint.value),
                      fmt::format("write {}, or http://127.0.0.1:9050 for an emulator", googles));
    bool identified = !options.credentials.empty() || !options.impersonate.empty();
    if (!origin->encrypted && !origin->is_loopback() && identified)
        return refuse(endpoint.place, "credentials_in_the_clear",
                      "credentials are never sent over a network without encryption",
                      "leave `credentials` out for an emulator, or write https://");
    return {};
}

Status check_connection(const ConnectionOptions& options, const config::Node&) {
    PN_CHECK(check_endpoint(options, options.endpoint, "https://bigquery.googleapis.com"));
    if (!options.storage_endpoint.empty())
        PN_CHECK(check_endpoint(options, options.storage_endpoint, "https://bigquerystorage.googleapis.com"));
    if (!is_word(options.bookkeeping.value))
        return refuse(options.bookkeeping.place, "bad_dataset",
                      fmt::format("\"{}\" cannot be a dataset", options.bookkeeping.value),
                      "names have letters, digits and underscores");
    return check_labels(options);
}

}  // namespace

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("bigquery connection", "Google BigQuery, or its emulator.")
            .include(config::connection_spec())
            .required("project", &C::project, "The project that datasets belong to and that jobs are billed to.",
                      {.example = "my-project"})
            .field("location", &C::location,
                   "Where datasets are, and jobs run: a region or multi-region. A dataset that is there already must "
                   "be in it.",
                   {.example = "europe-west1"})
            .field("credentials", &C::credentials, "A service account's key file (JSON).",
                   {.example = "service-account.json",
                    .default_note = "Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, or the "
                                    "metadata server's; nothing for an http:// endpoint"})
            .field("impersonate", &C::impersonate, "The e-mail of a service account to act as.",
                   {.example = "loader@my-project.iam.gserviceaccount.com"})
            .field("endpoint", &C::endpoint, "https:// and the service's host; http:// and host:port of an emulator.",
                   {.example = "http://127.0.0.1:9050"})
            .field("storage_endpoint", &C::storage_endpoint,
                   "The same of the Storage API, which speaks gRPC: by it rows are read.",
                   {.example = "http://127.0.0.1:9060",
                    .default_note = "https://bigquerystorage.googleapis.com; none where `endpoint` is another's"})
            .field("ca", &C::ca, "Certificates to trust instead of the system's (PEM).", {.example = "proxy-ca.pem"})
            .field("bookkeeping", &C::bookkeeping,
                   "The dataset of what Penstock writes beside the data: checkpoints, rejects, schema history.")
            .field("labels", &C::labels, "Labels of every job, beside `penstock_pipeline` and `penstock_run`.",
                   {.example = "{team: data}"})
            .field("timeout", &C::timeout, "How long to wait for the answer to one call.")
            .field("retry_for", &C::retry_for, "How long a call that failed for the moment is tried again.")
            .field(
                "max_bytes_billed", &C::max_bytes_billed,
                "What one query may bill at most. A query that a dry run finds to need more is not begun, and the run "
                "ends with exit code 4.",
                {.example = "10GiB", .default_note = "twice what the dry run says, and 1 GiB"})
            .field("usd_per_tib", &C::usd_per_tib, "The price of queries, for `plan`.", {.least = 0, .most = 1000})
            .field("usd_per_tib_read", &C::usd_per_tib_read, "The price of what Storage Read reads, for `plan`.",
                   {.least = 0, .most = 1000})
            .check(check_connection);
    return made;
}

const config::Spec<TargetOptions>& target_spec() {
    static const auto made =
        config::Spec<TargetOptions>("bigquery target", "Tables in BigQuery.")
            .include(config::table_target_spec())
            .choice("publish", &TargetOptions::publish,
                    {{"load_job", Publish::load_job,
                      "Parquet by load jobs: free; 1,500 jobs a table and day, some seconds each"},
                     {"storage_write", Publish::storage_write,
                      "Arrow by the Storage Write API: billed by the byte, no jobs, sooner done"}},
                    "By what the rows of a batch go to BigQuery. What is committed is the same.")
            .field("usd_per_gib_written", &TargetOptions::usd_per_gib_written,
                   "The price of what `publish: storage_write` writes, for `plan`.", {.least = 0, .most = 1000})
            .field("commit_every", &TargetOptions::commit_every,
                   "How long a change stream that is followed waits between two commits at least: each is a few jobs, "
                   "and each of their tables bills 10 MiB or more. What fills memory goes at once.")
            .at_most_one_of({"table", "dataset"});
    return made;
}

Result<std::string> target_name(const TargetOptions& options, const std::string& source_table) {
    auto dot = source_table.find('.');
    std::string schema = dot == source_table.npos ? "" : source_table.substr(0, dot);
    std::string table = dot == source_table.npos ? source_table : source_table.substr(dot + 1);
    std::string name = options.table.value;
    if (name.empty()) name = options.dataset.empty() ? "{schema}.{table}" : options.dataset.value + ".{table}";
    replace_all(name, "{schema}", schema);
    replace_all(name, "{table}", table);
    auto split = name.find('.');
    std::string dataset = split == name.npos ? "" : name.substr(0, split);
    std::string plain = split == name.npos ? "" : name.substr(split + 1);
    bool known_letters = std::ranges::all_of(
        plain, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-' || c >= 0x80; });
    if (!is_word(dataset) || plain.empty() || plain.size() > 900 || !known_letters)
        return refuse(options.table.empty() ? options.dataset.place : options.table.place, "bad_table",
                      fmt::format("\"{}\" cannot be a table of BigQuery", name),
                      "write table: dataset.table; a dataset has letters, digits and underscores, a table dashes too");
    return name;
}

std::string label_value(const std::string& text) {
    std::string value;
    for (unsigned char c : text) {
        bool kept = c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '-');
        value += kept ? static_cast<char>(std::tolower(c)) : '_';
    }
    if (value == text && value.size() <= 63) return value;
    return value.substr(0, 50) + "_" + fingerprint({text}).substr(0, 8);
}

}  // namespace penstock::bigquery
