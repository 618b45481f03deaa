#include "connect/mysql/component.h"

#include "connect/mysql/options.h"
#include "connect/mysql/table.h"

namespace penstock::mysql {
namespace {

Result<std::vector<flow::Finding>> doctor(const config::Node& connection, const std::filesystem::path& directory,
                                          std::stop_token) {
    using Severity = flow::Finding::Severity;
    PN_TRY(auto place, parse_connection(connection, directory));
    PN_TRY(auto tables, Tables::open(place));
    PN_TRY(auto version, tables->version());
    std::vector<flow::Finding> findings = {
        {.severity = Severity::ok, .what = "connection", .detail = place.shown + ": " + version}};
    if (!place.encrypted && !place.local)
        findings.push_back({.severity = Severity::warning,
                            .what = "encryption",
                            .detail = "the connection is not encrypted",
                            .fix = "leave out ssl_mode=disabled; ?ssl_ca=ca.pem names the authority"});
    return findings;
}

}  // namespace

const flow::Component& component() {
    static const flow::Component made = {
        .type = "mysql",
        .doc =
            "MySQL and MariaDB: a table with a row for each run of a pipeline (`for_each`), and the table of its jobs "
            "(`jobs`).",
        .connection_spec = []() -> const config::SpecBase& { return connection_spec(); },
        .doctor = doctor,
    };
    return made;
}

}  // namespace penstock::mysql
