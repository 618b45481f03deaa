#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "connect/bigquery/rest_pages.h"
#include "connect/bigquery/source.h"

namespace penstock::bigquery {

/// By Storage Read where it can be, else by a query and its result.
Result<Source::Feeds> Source::feeds_of(const TableRead& read, const std::string& condition, bool ordered) {
    bool direct = read.by_storage && !ordered && settings_.source.read != ReadBy::rest;
    if (direct) {
        PN_TRY(bool there, has_storage());
        if (there) {
            ReadSessionRequest request = {
                .table = read.id,
                .columns = read.names(),
                .restriction = read.restriction(condition),
                .snapshot_micros = read.time_travels ? std::optional(moment_micros_) : std::nullopt,
                .streams = settings_.parallel};
            auto feeds = storage_feeds(request, settings_.connection.usd_per_tib_read);
            if (feeds || !no_storage_) return feeds;
        }
    }
    auto query = read.select(condition, moment_micros_, ordered, settings_.bounds.limit);
    // What is read is told by the moment: whoever asks for the same gets the same job.
    query.name = fmt::format("read {} {} {} {}", settings_.pipeline, settings_.run_id, moment_micros_, query.sql);
    PN_TRY(auto done, jobs_->run(query));
    PN_TRY(bool storage, has_storage());
    if (storage && settings_.source.read != ReadBy::rest) {
        auto feeds = storage_feeds({.table = done.result,
                                    .columns = read.names(),
                                    .restriction = "",
                                    .snapshot_micros = {},
                                    .streams = ordered ? 1 : settings_.parallel},
                                   0);
        if (feeds || !no_storage_) return feeds;
    }
    return Feeds{.count = 1, .open = [this, table = done.result, &read](size_t) -> Result<std::unique_ptr<BatchFeed>> {
                     return std::make_unique<RestPages>(*client_, table, read.columns);
                 }};
}

/// Charged before the first row is read, so that a killed run forgets nothing. The results of queries are read for nothing.
Result<Source::Feeds> Source::storage_feeds(const ReadSessionRequest& request, double usd_per_tib) {
    auto session = storage_->create(request);
    if (!session) {
        if (settings_.source.read == ReadBy::automatic && is_denied(session.error())) {
            warn_of_fallback(session.error().message);
            no_storage_ = true;
        }
        return fail(std::move(session.error()));
    }
    double usd = static_cast<double>(session->bytes) / static_cast<double>(int64_t{1} << 40) * usd_per_tib;
    if (settings_.purse != nullptr && usd > 0) {
        PN_CHECK(settings_.purse->allow_usd(session->what, usd));
        settings_.purse->add({.usd = usd});
    }
    auto shared = std::make_shared<ReadSession>(std::move(*session));
    return Feeds{.count = shared->streams.size(),
                 .open = [this, shared](size_t stream) -> Result<std::unique_ptr<BatchFeed>> {
                     return storage_->open(*shared, stream);
                 }};
}

Result<bool> Source::has_storage() {
    if (no_storage_ || settings_.source.read == ReadBy::rest) return false;
    if (storage_ != nullptr) return true;
    if (storage_endpoint(settings_.connection).empty()) {
        if (settings_.source.read == ReadBy::storage)
            return fail({.kind = ErrorKind::configuration,
                         .code = "no_storage_endpoint",
                         .message = "read: storage needs the Storage API, and the connection does not say where it is",
                         .where = settings_.source.connection.place.text(),
                         .hint = "add storage_endpoint: to the connection"});
        warn_of_fallback("the connection's endpoint is not Google's, and no storage_endpoint is given");
        no_storage_ = true;
        return false;
    }
    PN_TRY(auto channel, StorageChannel::make(settings_.connection, stop_));
    storage_ =
        std::make_unique<StorageReader>(std::move(channel), client_->project(), settings_.connection.retry_for, stop_);
    return true;
}

void Source::warn_of_fallback(const std::string& why) {
    log::warning("reading by queries, which are billed, and pages of REST: {}", why);
}

Result<std::vector<flow::Finding>> Source::examine(std::stop_token stop) {
    using Severity = flow::Finding::Severity;
    auto problem = [](std::string what, const Error& error) {
        return flow::Finding{
            .severity = Severity::problem, .what = std::move(what), .detail = error.message, .fix = error.hint};
    };
    settings_.connection.retry_for =
        std::min<std::chrono::microseconds>(settings_.connection.retry_for, std::chrono::seconds(15));
    if (auto connected = connect(std::move(stop)); !connected)
        return std::vector<flow::Finding>{problem("source", connected.error())};
    std::vector<flow::Finding> findings;
    for (const auto& read : reads_) {
        std::string what = "reads " + read.info.name;
        if (!read.by_storage || settings_.source.batch_rows || settings_.source.read == ReadBy::rest) {
            findings.push_back({.what = what, .detail = "by a query of " + client_->who(), .fix = ""});
            continue;
        }
        auto there = has_storage();
        if (!there) {
            findings.push_back(problem(what, there.error()));
            continue;
        }
        if (!*there) {
            findings.push_back({.severity = Severity::warning,
                                .what = what,
                                .detail = "by queries, which are billed: the connection has no storage endpoint",
                                .fix = "add storage_endpoint: to the connection"});
            continue;
        }
        auto session = storage_->create({.table = read.id,
                                         .columns = read.names(),
                                         .restriction = read.restriction(""),
                                         .snapshot_micros = {},
                                         .streams = 1});
        if (session) {
            findings.push_back({.what = what, .detail = "by Storage Read as " + client_->who(), .fix = ""});
            continue;
        }
        auto finding = problem(what, session.error());
        bool falls_back = settings_.source.read == ReadBy::automatic && is_denied(session.error());
        if (falls_back) finding.severity = Severity::warning;
        findings.push_back(std::move(finding));
    }
    return findings;
}

}  // namespace penstock::bigquery
