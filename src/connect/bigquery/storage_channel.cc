#include "connect/bigquery/storage_channel.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <fstream>

#include "base/version.h"
#include "io/url.h"

namespace penstock::bigquery {
namespace {

constexpr const char* googles = "https://bigquerystorage.googleapis.com";

/// Codes by their names on Google's pages, in lower case.
const char* name_of(grpc::StatusCode code) {
    switch (code) {
        case grpc::StatusCode::OK: return "ok";
        case grpc::StatusCode::CANCELLED: return "cancelled";
        case grpc::StatusCode::INVALID_ARGUMENT: return "invalid_argument";
        case grpc::StatusCode::DEADLINE_EXCEEDED: return "deadline_exceeded";
        case grpc::StatusCode::NOT_FOUND: return "not_found";
        case grpc::StatusCode::ALREADY_EXISTS: return "already_exists";
        case grpc::StatusCode::PERMISSION_DENIED: return "permission_denied";
        case grpc::StatusCode::RESOURCE_EXHAUSTED: return "resource_exhausted";
        case grpc::StatusCode::FAILED_PRECONDITION: return "failed_precondition";
        case grpc::StatusCode::ABORTED: return "aborted";
        case grpc::StatusCode::OUT_OF_RANGE: return "out_of_range";
        case grpc::StatusCode::UNIMPLEMENTED: return "unimplemented";
        case grpc::StatusCode::INTERNAL: return "internal";
        case grpc::StatusCode::UNAVAILABLE: return "unavailable";
        case grpc::StatusCode::DATA_LOSS: return "data_loss";
        case grpc::StatusCode::UNAUTHENTICATED: return "unauthenticated";
        default: return "unknown";
    }
}

std::string hint_of(grpc::StatusCode code) {
    switch (code) {
        case grpc::StatusCode::UNAUTHENTICATED:
            return "name a service account's key file under `credentials`, or mend the one that is named";
        case grpc::StatusCode::PERMISSION_DENIED:
            return "grant the account roles/bigquery.readSessionUser on the connection's project and "
                   "roles/bigquery.dataViewer on the dataset";
        case grpc::StatusCode::UNIMPLEMENTED:
            return "check `storage_endpoint`: it must be the Storage API's, which speaks gRPC";
        case grpc::StatusCode::UNAVAILABLE: return "check `storage_endpoint`, and that nothing on the way stops gRPC";
        default: return "";
    }
}

Result<std::string> certificates(const config::FilePath& file) {
    std::ifstream in(file.value);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    if (in && !text.empty()) return text;
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_certificates",
                 .message = fmt::format("{} cannot be read", file.value.string()),
                 .where = file.place.text(),
                 .hint = "name a file with certificates (PEM)"});
}

std::string address_of(const std::string& endpoint, const io::Origin& origin) {
    std::string address = endpoint.substr(endpoint.find("://") + 3);
    address.erase(std::min(address.find('/'), address.size()));
    bool with_port = address.find(':', address.rfind(']') == address.npos ? 0 : address.rfind(']')) != address.npos;
    return with_port ? address : address + (origin.encrypted ? ":443" : ":80");
}

}  // namespace

std::string storage_endpoint(const ConnectionOptions& options) {
    if (!options.storage_endpoint.empty()) return options.storage_endpoint.value;
    return options.endpoint.value == ConnectionOptions().endpoint.value ? googles : "";
}

StorageChannel::StorageChannel(const ConnectionOptions& options, std::stop_token stop)
    : stop_(std::move(stop)), http_({.ca_file = options.ca.value, .user_agent = fmt::format("penstock/{}", version)}) {}

Result<std::unique_ptr<StorageChannel>> StorageChannel::make(const ConnectionOptions& options, std::stop_token stop) {
    std::unique_ptr<StorageChannel> made(new StorageChannel(options, std::move(stop)));
    std::string endpoint = storage_endpoint(options);
    PN_TRY(auto origin, io::origin_of(endpoint));
    bool identified = !options.credentials.empty() || !options.impersonate.empty();
    if (origin.encrypted || identified) {
        auto source =
            io::token_source({.key_file = options.credentials.value, .impersonate = options.impersonate.value});
        if (!source) return fail(std::move(source.error()).at(options.credentials.place.text()));
        made->token_ = std::make_unique<io::TokenCache>(std::move(*source));
    }
    std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
    if (origin.encrypted) {
        grpc::SslCredentialsOptions tls;
        if (!options.ca.empty()) {
            PN_TRY(tls.pem_root_certs, certificates(options.ca));
        }
        credentials = grpc::SslCredentials(tls);
    }
    grpc::ChannelArguments arguments;
    // "ReadRowsResponse": 128 MB at most; a row may have 100 MB.
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetUserAgentPrefix(fmt::format("penstock/{}", version));
    // A server may take more pings than one in five minutes for an attack (gRPC's keepalive guide).
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 300'000);
    made->channel_ = grpc::CreateCustomChannel(address_of(endpoint, origin), credentials, arguments);
    return made;
}

Status StorageChannel::prepare(grpc::ClientContext& context, const std::string& request_parameters) {
    // AIP-4222: where a call goes is told by this header.
    context.AddMetadata("x-goog-request-params", request_parameters);
    if (token_ == nullptr) return {};
    PN_TRY(auto header, token_->header(http_, stop_));
    context.AddMetadata("authorization", header.substr(header.find(' ') + 1));
    return {};
}

void StorageChannel::forget_token() {
    if (token_ != nullptr) token_->forget();
}

Error storage_error(const grpc::Status& status, const std::string& what) {
    auto code = status.error_code();
    ErrorKind kind = is_passing(status) ? ErrorKind::unavailable : ErrorKind::refused;
    if (code == grpc::StatusCode::CANCELLED) kind = ErrorKind::interrupted;
    std::string said = status.error_message();
    said.erase(std::min(said.find('\n'), said.size()));
    return {.kind = kind,
            .code = fmt::format("bigquery_storage_{}", name_of(code)),
            .message = fmt::format("cannot {}: BigQuery's Storage API answered {}{}{}", what, name_of(code),
                                   said.empty() ? "" : ": ", said),
            .hint = hint_of(code)};
}

bool is_passing(const grpc::Status& status) {
    const auto& said = status.error_message();
    switch (status.error_code()) {
        case grpc::StatusCode::UNAVAILABLE:
        case grpc::StatusCode::ABORTED:
        case grpc::StatusCode::DEADLINE_EXCEEDED:
        case grpc::StatusCode::RESOURCE_EXHAUSTED: return true;
        // What Google's own readers take up again: a connection that was cut within a stream.
        case grpc::StatusCode::INTERNAL:
        case grpc::StatusCode::UNKNOWN:
            return said.find("RST_STREAM") != said.npos || said.find("Received unexpected EOS") != said.npos ||
                   said.find("Stream removed") != said.npos || said.find("rror reading") != said.npos;
        default: return false;
    }
}

}  // namespace penstock::bigquery
