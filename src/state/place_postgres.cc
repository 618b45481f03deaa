// postgres://…, as libpq reads it.
#include <fmt/format.h>
#include <libpq-fe.h>

#include <cstdlib>
#include <map>
#include <memory>

#include "state/place_url.h"

namespace penstock::state {
namespace {

using Parameters = std::map<std::string, std::string>;

/// libpq's own message is not passed on: it quotes what it could not read.
Result<Parameters> read_url(const std::string& url) {
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(url.c_str(), nullptr),
                                                                         PQconninfoFree);
    if (options == nullptr)
        return fail(
            url_error("the URL is not one that PostgreSQL's library reads",
                      "write postgres://user:password@host:5432/database?sslmode=verify-full&sslrootcert=ca.pem; "
                      "characters such as @ : / ? # % in a password are written as %40 %3A %2F %3F %23 %25"));
    Parameters found;
    for (const auto* option = options.get(); option->keyword != nullptr; ++option)
        if (option->val != nullptr) found[option->keyword] = option->val;
    return found;
}

bool is_local(const std::string& hosts) {
    for (size_t at = 0; at <= hosts.size();) {  // several, by commas
        size_t end = std::min(hosts.find(',', at), hosts.size());
        if (!is_loopback(hosts.substr(at, end - at))) return false;
        at = end + 1;
    }
    return true;
}

}  // namespace

bool is_loopback(const std::string& host) {
    return host.empty() || host.starts_with('/') || host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string connection_value(std::string_view value) {
    std::string out = "'";
    for (char c : value) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + "'";
}

Result<Place> postgres_place(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto found, read_url(url));
    remember_secret(found["password"]);
    auto absent = [&](const char* name, const char* variable) {
        return !found.contains(name) && std::getenv(variable) == nullptr;
    };
    const char* from_outside = std::getenv("PGHOST");
    std::string host = found.contains("host") ? found["host"] : from_outside != nullptr ? from_outside : "";
    if ((!is_local(host) || !is_local(found["hostaddr"])) && absent("sslmode", "PGSSLMODE"))
        found["sslmode"] = "verify-full";
    for (const char* name : {"sslrootcert", "sslcert", "sslkey"})
        if (found.contains(name) && found[name] != "system") found[name] = (directory / found[name]).string();
    // What libpq would look for in the home folder stays possible by sslrootcert.
    if (found["sslmode"].starts_with("verify") && absent("sslrootcert", "PGSSLROOTCERT"))
        found["sslrootcert"] = "/etc/ssl/certs/ca-certificates.crt";
    for (const auto& [name, value] : Parameters{{"connect_timeout", "5"},
                                                {"application_name", "penstock state"},
                                                {"client_encoding", "UTF8"},
                                                {"keepalives_idle", "10"},
                                                {"keepalives_interval", "5"},
                                                {"keepalives_count", "3"},
                                                {"tcp_user_timeout", "30000"}})
        found.try_emplace(name, value);
    std::string connect;
    for (const auto& [name, value] : found)
        if (!value.empty())
            connect += fmt::format("{}{}={}", connect.empty() ? "" : " ", name, connection_value(value));
    std::string port = found.contains("port") ? found["port"] : "5432";
    return Place{
        .engine = Engine::postgres,
        .connect = Secret(connect),
        .shown = fmt::format("PostgreSQL at {}:{}/{}", host.empty() ? "localhost" : host, port, found["dbname"])};
}

}  // namespace penstock::state
