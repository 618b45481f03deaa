#include "transform/payload/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_member.h"
#include "base/version.h"
#include "io/retry.h"
#include "io/token.h"
#include "io/url.h"

namespace penstock::payload {
namespace {

using Json = nlohmann::json;

constexpr size_t most_schema_bytes = size_t{4} << 20;
constexpr size_t most_references = 1000;
constexpr int deepest_reference = 20;

Error registry_error(ErrorKind kind, std::string code, const std::string& url, std::string why, std::string hint) {
    return {.kind = kind,
            .code = std::move(code),
            .message = fmt::format("the schema registry at {} {}", url, why),
            .hint = std::move(hint)};
}

}  // namespace

Registry::Registry(RegistryOptions options)
    : options_(std::move(options)),
      base_(options_.url.value),
      http_({.ca_file = options_.ca.value, .user_agent = fmt::format("penstock/{}", version)}) {
    while (base_.ends_with('/')) base_.pop_back();
    remember_secret(options_.password.reveal());
    remember_secret(options_.token.reveal());
}

/// The body, which may be no JSON, or what a 404 says.
Result<std::expected<Json, std::string>> Registry::get(const std::string& path, std::stop_token stop) {
    io::Request request{.url = base_ + path,
                        .headers = {"Accept: application/vnd.schemaregistry.v1+json, application/json"},
                        .timeout = std::chrono::seconds(20),
                        .most_bytes = most_schema_bytes};
    if (!options_.token.empty()) request.headers.push_back("Authorization: Bearer " + options_.token.reveal());
    if (!options_.password.empty())
        request.headers.push_back("Authorization: Basic " +
                                  io::basic_credentials(options_.username, options_.password));
    auto answer = io::with_retries({.deadline = std::chrono::minutes(1)}, stop, [&](int) {
        auto response = http_.send(request, stop);
        bool again = response ? response->status == 429 || response->status >= 500
                              : response.error().kind == ErrorKind::unavailable;
        auto asked = response ? io::retry_after(*response) : std::chrono::milliseconds{};
        return io::Attempted{.response = std::move(response), .again = again, .asked = asked};
    });
    if (!answer) {
        auto& error = answer.error();
        if (error.kind == ErrorKind::interrupted) return fail(std::move(error));
        return fail(registry_error(error.kind, "schema_registry", base_, "gave no answer: " + error.message,
                                   "check `schema_registry` of the connection; messages cannot be read without their "
                                   "schemas"));
    }
    using Outcome = std::expected<Json, std::string>;
    if (answer->good()) return Outcome(Json::parse(answer->body, nullptr, false));
    if (answer->status == 404) return Outcome(std::unexpect, "the schema registry does not have it");
    bool denied = answer->status == 401 || answer->status == 403;
    return fail(
        registry_error(answer->status >= 500 || answer->status == 429 ? ErrorKind::unavailable : ErrorKind::refused,
                       fmt::format("schema_registry_{}", answer->status), base_,
                       fmt::format("answered {} for {}", answer->status, path),
                       denied ? "check `username` and `password`, or `token`, of `schema_registry`"
                              : "check `url` of `schema_registry`: it is where /schemas and /subjects begin"));
}

/// Those of `answer`, each behind those that it refers to itself.
Result<std::expected<void, std::string>> Registry::add_references(const Json& answer, RegisteredSchema& into,
                                                                  std::stop_token stop, int depth) {
    using Outcome = std::expected<void, std::string>;
    auto list = answer.find("references");
    if (list == answer.end() || !list->is_array()) return Outcome{};
    if (depth > deepest_reference) return Outcome(std::unexpect, "its references are nested too deeply");
    for (const auto& one : *list) {
        auto name = text_of(one, "name"), subject = text_of(one, "subject");
        auto number = one.find("version");
        if (name.empty() || subject.empty() || number == one.end() || !number->is_number_integer())
            return Outcome(std::unexpect, "one of its references has no name, subject or version");
        if (std::ranges::find(into.references, name, &NamedSchema::name) != into.references.end()) continue;
        auto path = fmt::format("/subjects/{}/versions/{}", io::escape_url(subject), number->get<int64_t>());
        PN_TRY(auto body, get(path, stop));
        if (!body) return Outcome(std::unexpect, fmt::format("{}, to which it refers: {}", name, body.error()));
        PN_TRY(auto below, add_references(*body, into, stop, depth + 1));
        if (!below) return below;
        auto schema = text_of(*body, "schema");
        if (schema.empty()) return Outcome(std::unexpect, fmt::format("{}, to which it refers, is empty", name));
        if (into.references.size() >= most_references)
            return Outcome(std::unexpect, "it has more than 1000 references");
        into.references.push_back({name, std::move(schema)});
    }
    return Outcome{};
}

Result<std::expected<RegisteredSchema, std::string>> Registry::by_id(uint32_t id, std::stop_token stop) {
    using Outcome = std::expected<RegisteredSchema, std::string>;
    PN_TRY(auto body, get(fmt::format("/schemas/ids/{}", id), stop));
    if (!body) return Outcome(std::unexpect, std::move(body.error()));
    if (!body->is_object()) return Outcome(std::unexpect, "what the schema registry says of it is no JSON object");
    RegisteredSchema out{.format = Format::avro, .text = text_of(*body, "schema"), .references = {}};
    if (out.text.empty()) return Outcome(std::unexpect, "what the schema registry says of it has no schema");
    auto language = text_of(*body, "schemaType");
    if (language == "PROTOBUF") out.format = Format::protobuf;
    else if (language == "JSON") out.format = Format::json;
    else if (!language.empty() && language != "AVRO")
        return Outcome(std::unexpect, fmt::format("it is in {}, which this version does not read", language));
    PN_TRY(auto whole, add_references(*body, out, stop, 0));
    if (!whole) return Outcome(std::unexpect, std::move(whole.error()));
    return Outcome(std::move(out));
}

}  // namespace penstock::payload
