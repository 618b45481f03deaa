#include "connect/pubsub/credentials.h"

#include <fmt/format.h>
#include <grpcpp/security/credentials.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/secret.h"

namespace penstock::pubsub {
namespace {

using Json = nlohmann::json;

std::unexpected<Error> bad_file(const config::FilePath& file, std::string message, std::string hint) {
    return fail({.kind = ErrorKind::configuration,
                 .code = "bad_credentials",
                 .message = std::move(message),
                 .where = file.place.text(),
                 .hint = std::move(hint)});
}

Result<std::string> read_key_file(const config::FilePath& file) {
    std::ifstream in(file.value);
    std::stringstream text;
    if (!in || !(text << in.rdbuf()))
        return bad_file(file, fmt::format("the credentials file {} cannot be read", file.value.string()),
                        "name the JSON key file of a service account, readable by this account");
    return text.str();
}

/// What must not be shown, wherever it turns up.
void remember_secrets(const Json& json) {
    for (const char* name : {"private_key", "client_secret", "refresh_token"})
        if (auto found = json.find(name); found != json.end() && found->is_string())
            remember_secret(found->get<std::string>());
}

/// By the file's own word for what it is.
std::shared_ptr<grpc::CallCredentials> call_credentials(const std::string& type, const std::string& text) {
    if (type == "service_account") return grpc::ServiceAccountJWTAccessCredentials(text);
    if (type == "authorized_user") return grpc::GoogleRefreshTokenCredentials(text);
    if (type == "external_account")
        return grpc::ExternalAccountCredentials(text, {"https://www.googleapis.com/auth/pubsub"});
    return nullptr;
}

Result<std::shared_ptr<grpc::CallCredentials>> from_file(const config::FilePath& file) {
    PN_TRY(auto text, read_key_file(file));
    auto json = Json::parse(text, nullptr, false);
    std::string type;
    if (json.is_object()) {
        remember_secrets(json);
        if (auto found = json.find("type"); found != json.end() && found->is_string()) type = found->get<std::string>();
    }
    auto credentials = call_credentials(type, text);
    if (credentials) return credentials;
    return bad_file(file,
                    type.empty()
                        ? fmt::format("{} is not a Google credentials file", file.value.string())
                        : fmt::format("the credentials in {}, of type {}, cannot be used", file.value.string(), type),
                    "name the JSON key file of a service account");
}

}  // namespace

Result<std::shared_ptr<grpc::ChannelCredentials>> channel_credentials(const ConnectionOptions& options,
                                                                      const Endpoint& endpoint) {
    if (!endpoint.encrypted) return grpc::InsecureChannelCredentials();
    if (!options.credentials.empty()) {
        PN_TRY(auto account, from_file(options.credentials));
        return grpc::CompositeChannelCredentials(grpc::SslCredentials({}), account);
    }
    auto found = grpc::GoogleDefaultCredentials();
    if (found) return found;
    return fail({.kind = ErrorKind::configuration,
                 .code = "no_credentials",
                 .message =
                     "no Google credentials were found: no `credentials`, no GOOGLE_APPLICATION_CREDENTIALS, none "
                     "of gcloud's, no metadata server",
                 .hint = "name a service account's key file under the connection's `credentials`"});
}

}  // namespace penstock::pubsub
