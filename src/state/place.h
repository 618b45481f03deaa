#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/secret.h"

namespace penstock::state {

enum class Engine { sqlite, mysql, postgres };

/// Where a state is. For MySQL (and MariaDB) and PostgreSQL the URL's own parameters choose TLS; where they say nothing, a
/// server that is not on this machine must show a certificate for its name.
struct Place {
    Engine engine = Engine::sqlite;
    std::filesystem::path file;  ///< of SQLite
    Secret connect;              ///< what the library takes
    std::string shown;           ///< for people: the file, or "MySQL at db.example:3306/penstock"
    bool local = false;          ///< of MySQL: what is sent passes no network
    bool encrypted = false;      ///< TLS was asked for, so a connection without it is refused
};

/// `sqlite:path`, `mysql://user:password@host:port/database?…` or `postgres://…`, which libpq reads. Paths are relative to
/// `directory`. Touches neither files nor the network; the password is remembered as a secret, and no error quotes the URL.
Result<Place> place_of(const std::string& url, const std::filesystem::path& directory);

}  // namespace penstock::state
