#include "app/telemetry/trace.h"

#include <fmt/format.h>
#include <opentelemetry/proto/collector/trace/v1/trace_service.pb.h>

#include <algorithm>
#include <cstdlib>

#include "app/telemetry/otlp.h"
#include "base/digest.h"
#include "base/hex.h"
#include "base/secret.h"
#include "base/version.h"

namespace penstock::app::telemetry {
namespace {

using otlp::trace::v1::Span;
using otlp::trace::v1::Status_StatusCode_STATUS_CODE_ERROR;
using otlp::trace::v1::Status_StatusCode_STATUS_CODE_OK;

/// Sixteen bytes, eight bytes.
struct Parent {
    std::string trace, span;
    bool sampled = true;
};

/// "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".
std::optional<Parent> parent_of_environment() {
    const char* value = std::getenv("TRACEPARENT");
    std::string text = value == nullptr ? "" : value;
    if (text.size() < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || text.starts_with("ff")) return {};
    auto trace = from_hex(text.substr(3, 32)), span = from_hex(text.substr(36, 16)),
         flags = from_hex(text.substr(53, 2));
    if (!trace || !span || !flags) return {};
    if (trace->find_first_not_of('\0') == trace->npos || span->find_first_not_of('\0') == span->npos) return {};
    return Parent{*trace, *span, (flags->front() & 1) != 0};
}

/// The run's id says which trace it is, for whoever has only that.
std::string id_of(const std::string& run_id, const std::string& what, size_t bytes) {
    return *from_hex(sha256_hex(fmt::format("{}\n{}", run_id, what)).substr(0, 2 * bytes));
}

class Trace {
  public:
    Trace(const RunStory& story, const Settings& settings, const std::optional<Parent>& parent)
        : story_(story), trace_(parent ? parent->trace : id_of(story.identity.run_id, "trace", 16)) {
        auto& resource = *request_.add_resource_spans();
        describe(*resource.mutable_resource(), settings);
        spans_ = resource.add_scope_spans();
        spans_->mutable_scope()->set_name("penstock");
        spans_->mutable_scope()->set_version(std::string(version));
    }

    Span& add(const std::string& name, const std::string& parent, TimePoint began, TimePoint ended) {
        auto& span = *spans_->add_spans();
        span.set_trace_id(trace_);
        span.set_span_id(id_of(story_.identity.run_id, name, 8));
        span.set_parent_span_id(parent);
        span.set_name(name);
        span.set_kind(otlp::trace::v1::Span_SpanKind_SPAN_KIND_INTERNAL);
        span.set_start_time_unix_nano(nanoseconds(began));
        span.set_end_time_unix_nano(nanoseconds(std::max(began, ended)));
        return span;
    }

    std::string text() const { return request_.SerializeAsString(); }

  private:
    const RunStory& story_;
    const std::string trace_;
    otlp::collector::trace::v1::ExportTraceServiceRequest request_;
    otlp::trace::v1::ScopeSpans* spans_;
};

void add_counts(Span& span, const flow::Counts& counts) {
    add_attribute(span, "penstock.rows_read", counts.rows_read);
    add_attribute(span, "penstock.rows_written", counts.rows_written);
    add_attribute(span, "penstock.rows_rejected", counts.rows_rejected);
    add_attribute(span, "penstock.rows_filtered", counts.rows_filtered);
    add_attribute(span, "penstock.bytes_read", counts.bytes_read);
    add_attribute(span, "penstock.bytes_written", counts.bytes_written);
}

void add_check(Span& span, const flow::Validation& check) {
    auto& event = *span.add_events();
    event.set_name("check");
    event.set_time_unix_nano(nanoseconds(check.evaluated_at));
    add_attribute(event, "penstock.check", check.check);
    add_attribute(event, "penstock.expectation", check.expectation);
    add_attribute(event, "penstock.unexpected_count", check.unexpected_count);
    auto& success = *event.add_attributes();
    success.set_key("penstock.success");
    success.mutable_value()->set_bool_value(check.success);
}

void describe_run(Span& span, const RunStory& story, const flow::RunResult& result) {
    add_attribute(span, "penstock.pipeline", story.identity.pipeline);
    add_attribute(span, "penstock.run_id", story.identity.run_id);
    add_attribute(span, "penstock.status", flow::to_string(result.status));
    add_attribute(span, "penstock.origin", schedule::to_string(story.cause.origin));
    add_attribute(span, "penstock.attempts", static_cast<int64_t>(result.attempts));
    if (story.cause.window_end != TimePoint{}) {
        add_attribute(span, "penstock.window_start", iso_time(story.cause.window_start));
        add_attribute(span, "penstock.window_end", iso_time(story.cause.window_end));
    }
    add_counts(span, result.counts());
    for (const auto& retry : story.retries) {
        auto& event = *span.add_events();
        event.set_name("retry");
        event.set_time_unix_nano(nanoseconds(retry.at));
        add_attribute(event, "error.type", retry.code);
        add_attribute(event, "exception.message", redact(retry.message));
        add_attribute(event, "penstock.attempt", static_cast<int64_t>(retry.attempt));
    }
    if (result.error) {
        add_attribute(span, "error.type", result.error->code);
        span.mutable_status()->set_code(Status_StatusCode_STATUS_CODE_ERROR);
        span.mutable_status()->set_message(valid_text(redact(result.error->message)));
    } else {
        span.mutable_status()->set_code(Status_StatusCode_STATUS_CODE_OK);
    }
}

void add_table(Trace& trace, const RunStory::Table& table, const RunStory& story, const flow::RunResult& result,
               const std::string& run) {
    const auto& source = table.target.info.name;
    auto& span = trace.add("load " + source, run, table.began, table.ended == TimePoint{} ? story.ended : table.ended);
    add_attribute(span, "penstock.table", source);
    add_attribute(span, "penstock.target", table.target.name);
    const auto* known = table.result_in(result);
    if (known == nullptr) return;
    add_counts(span, known->counts);
    for (const auto& record : known->validations) add_check(span, record.validation);
}

}  // namespace

std::string trace_request(const RunStory& story, const flow::RunResult& result, const Settings& settings) {
    auto parent = parent_of_environment();
    if (parent && !parent->sampled) return "";
    Trace trace(story, settings, parent);
    auto& run = trace.add("run " + story.identity.pipeline, parent ? parent->span : "", story.began, story.ended);
    describe_run(run, story, result);
    auto id = run.span_id();
    auto& plan = trace.add("plan", id, story.began, story.planned == TimePoint{} ? story.ended : story.planned);
    add_attribute(plan, "penstock.tables", static_cast<int64_t>(story.tables.size()));
    for (const auto& table : story.tables)
        if (table.began != TimePoint{}) add_table(trace, table, story, result, id);
    return trace.text();
}

}  // namespace penstock::app::telemetry
