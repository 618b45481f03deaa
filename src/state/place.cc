#include "state/place.h"

#include "state/place_url.h"

namespace penstock::state {
namespace {

Result<Place> sqlite_place(std::string path, const std::filesystem::path& directory) {
    if (path.starts_with("//")) path.erase(0, 2);
    if (path.empty())
        return fail(url_error("the URL names no file", "write a path, such as sqlite:.penstock/state.db"));
    if (path.find_first_of("\"?") != path.npos)
        return fail(url_error("the path of the state must not hold a quote or a question mark", "choose another path"));
    auto file = directory / path;
    return Place{.engine = Engine::sqlite, .file = file, .shown = file.string()};
}

}  // namespace

Error url_error(std::string message, std::string hint) {
    return {
        .kind = ErrorKind::configuration, .code = "state_url", .message = std::move(message), .hint = std::move(hint)};
}

Result<Place> place_of(const std::string& url, const std::filesystem::path& directory) {
    auto colon = url.find(':');
    std::string scheme = url.substr(0, colon == url.npos ? 0 : colon);
    if (scheme == "sqlite") return sqlite_place(url.substr(colon + 1), directory);
    if (scheme == "mysql" || scheme == "mariadb") return mysql_place(url, directory);
    if (scheme == "postgres" || scheme == "postgresql") return postgres_place(url, directory);
    return fail(url_error("the URL is not understood",
                          "write sqlite:.penstock/state.db, mysql://user:password@host/database or "
                          "postgres://user:password@host/database"));
}

}  // namespace penstock::state
