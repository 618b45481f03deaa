#include "connect/mysql/options.h"

#include "config/spec.h"

namespace penstock::mysql {

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made = config::Spec<C>("mysql connection", "A database of a MySQL or MariaDB server.")
                                 .include(config::connection_spec())
                                 .required("url", &C::url,
                                           "The server, the database and how they are talked to: TLS with a valid "
                                           "certificate, unless the server is on this "
                                           "machine or `?ssl_mode=` says otherwise.",
                                           {.example = "\"${OPS_URL}\""});
    return made;
}

Result<state::Place> parse_connection(const config::Node& node, const std::filesystem::path& directory) {
    PN_TRY(auto options, connection_spec().parse(node));
    auto place = state::place_of(options.url.reveal(), directory);
    if (place && place->engine == state::Engine::mysql) return place;
    Error error = place ? Error{.kind = ErrorKind::configuration,
                                .code = "not_mysql",
                                .message = "the URL is not one of a MySQL server",
                                .hint = "write mysql://user:password@host:3306/database"}
                        : std::move(place.error());
    return fail(config::problem(*node.find("url"), error.code, error.message, error.hint));
}

}  // namespace penstock::mysql
