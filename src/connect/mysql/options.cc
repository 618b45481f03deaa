#include "connect/mysql/options.h"

#include <fmt/format.h>

#include "config/spec.h"
#include "io/url.h"

namespace penstock::mysql {

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("mysql connection", "A database of a MySQL or MariaDB server.")
            .include(config::connection_spec())
            .field("url", &C::url,
                   "The server, the database and how they are talked to: TLS with a valid "
                   "certificate, unless the server is on this "
                   "machine or `?ssl_mode=` says otherwise.",
                   {.example = "\"${OPS_URL}\""})
            .field("host", &C::host, "The server, where its address comes in words of its own rather than as an URL.",
                   {.example = "\"${DB_HOST}\""})
            .field("port", &C::port, "Its port.", {.least = 1, .most = 65535})
            .field("user", &C::user, "Who connects.", {.example = "\"${DB_USER}\""})
            .field("password", &C::password, "As it is: nothing in it is escaped.", {.example = "\"${DB_PASSWORD}\""})
            .field("database", &C::database, "The database.", {.example = "\"${DB_NAME}\""})
            .one_of({"url", "host"})
            .requires_other("host", "user")
            .requires_other("host", "database")
            .requires_other("user", "host");
    return made;
}

Result<state::Place> parse_connection(const config::Node& node, const std::filesystem::path& directory) {
    PN_TRY(auto options, connection_spec().parse(node));
    auto url = options.url.reveal();
    if (url.empty())
        url = fmt::format("mysql://{}:{}@{}:{}/{}", io::escape_url(options.user),
                          io::escape_url(options.password.reveal()), options.host, options.port,
                          io::escape_url(options.database));
    auto place = state::place_of(url, directory);
    if (place && place->engine == state::Engine::mysql) return place;
    Error error = place ? Error{.kind = ErrorKind::configuration,
                                .code = "not_mysql",
                                .message = "the URL is not one of a MySQL server",
                                .hint = "write mysql://user:password@host:3306/database"}
                        : std::move(place.error());
    const auto* named = node.find(options.url.empty() ? "host" : "url");
    return fail(config::problem(named == nullptr ? node : *named, error.code, error.message, error.hint));
}

}  // namespace penstock::mysql
