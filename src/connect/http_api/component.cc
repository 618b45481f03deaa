#include "connect/http_api/component.h"

#include <fmt/format.h>

#include "config/spec.h"
#include "connect/http_api/client.h"
#include "connect/http_api/options.h"
#include "connect/http_api/source.h"
#include "connect/http_api/source_options.h"
#include "io/url.h"

namespace penstock::http_api {
namespace {

using flow::Finding;
using Severity = Finding::Severity;

Result<SourceSettings> settings_of(const flow::BuildContext& context) {
    SourceSettings out;
    PN_TRY(out.connection, connection_spec().parse(context.connection));
    PN_TRY(out.source, source_spec().parse(context.pipeline.source));
    out.memory_bytes = context.memory_bytes;
    out.bounds = context.bounds;
    // Refused records are named by the target's key.
    if (const auto* key = context.pipeline.target.find("key")) {
        if (key->is_scalar()) out.key.push_back(key->text);
        for (const auto& item : key->items) out.key.push_back(item.text);
    }
    return out;
}

Status validate_source(const flow::BuildContext& context) {
    PN_TRY(auto settings, settings_of(context));
    return Source::check(settings.source);
}

Result<std::unique_ptr<flow::Source>> build_source(const flow::BuildContext& context) {
    PN_TRY(auto settings, settings_of(context));
    return std::make_unique<Source>(std::move(settings));
}

Result<std::vector<Finding>> examine_source(const flow::BuildContext& context, std::stop_token stop) {
    PN_TRY(auto settings, settings_of(context));
    return Source(std::move(settings)).examine(std::move(stop));
}

/// What the bare URL answers says little: paths are looked at by examine_source.
Result<std::vector<Finding>> doctor(const config::Node& connection, const std::filesystem::path&,
                                    std::stop_token stop) {
    PN_TRY(auto options, connection_spec().parse(connection));
    PN_TRY(auto client, Client::make(options, options.max_answer.count, std::move(stop)));
    auto answer = client->ask_once(client->base() + "/");
    Finding finding{.what = "api", .detail = "", .fix = ""};
    if (!answer) {
        finding.severity = Severity::problem;
        finding.detail = answer.error().message;
        finding.fix = answer.error().hint;
    } else if (answer->status == 401 || answer->status >= 500 || is_rate_limit(*answer)) {
        auto error = status_error(*answer, options.url.value);
        finding.severity = Severity::problem;
        finding.detail = error.message;
        finding.fix = error.hint;
    } else {
        finding.detail = fmt::format("{} answers ({})", options.url.value, answer->status);
    }
    return std::vector<Finding>{std::move(finding)};
}

/// The conventions have no row for what is no store: an API's address, and the path that is asked.
Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo&) {
    PN_TRY(auto connection, connection_spec().parse(context.connection));
    PN_TRY(auto source, source_spec().parse(context.pipeline.source));
    PN_TRY(auto origin, io::origin_of(connection.url.value));
    auto base = io::path_of(connection.url.value);
    while (base.ends_with('/')) base.pop_back();
    auto path = source.path.value.substr(0, source.path.value.find('?'));
    return std::vector<flow::Dataset>{
        {.space = origin.text, .name = fmt::format("{}{}{}", base, path.starts_with('/') ? "" : "/", path)}};
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "http",
        .doc =
            "HTTP APIs that answer JSON: pages of any kind, whole or by cursor; rate limits kept, answers that were "
            "cut "
            "off asked for again.",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .source_spec = []() -> const config::SpecBase& { return source_spec(); },
        .validate_source = validate_source,
        .build_source = build_source,
        .takes_bounds = true,
        .doctor = doctor,
        .examine_source = examine_source,
        .source_datasets = source_datasets,
    };
    return made;
}

}  // namespace penstock::http_api
