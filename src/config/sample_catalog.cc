#include "config/sample_catalog.h"

#include "config/pipeline.h"

namespace penstock::config {
namespace {

enum class TlsMode { disable, require };

struct TlsOptions {
    TlsMode mode = TlsMode::require;
    FilePath ca;
};

const Spec<TlsOptions>& tls_spec() {
    static const auto made =
        Spec<TlsOptions>("tls", "How the connection is encrypted.")
            .choice("mode", &TlsOptions::mode,
                    {{"disable", TlsMode::disable, "No encryption."}, {"require", TlsMode::require, "Encrypted."}},
                    "How much is asked.")
            .field("ca", &TlsOptions::ca, "Certificates that are trusted.", {.example = "server-ca.pem"});
    return made;
}

struct SeaConnection : ConnectionOptions {
    Secret url;
    std::optional<TlsOptions> tls;
    std::map<std::string, std::string> headers;
};

struct SeaSource : SourceOptions {
    Text table;
    std::vector<Text> tables;
    Text cursor;
    std::chrono::microseconds cursor_lag{0};
    Bytes chunk{uint64_t{8} << 20};
    std::optional<int64_t> batch_rows;
    double sample = 1;
    bool strict = false;
    Node extra;
};

struct LandTarget : TableTargetOptions {
    std::vector<Secret> tokens;
};

const Spec<SeaConnection>& sea_connection() {
    using O = SeaConnection;
    static const auto made = Spec<O>("sea connection", "A sea.")
                                 .include(connection_spec())
                                 .required("url", &O::url, "Where the sea is.", {.example = "\"${SEA_URL}\""})
                                 .field("tls", &O::tls, tls_spec(), "How the connection is encrypted.")
                                 .field("headers", &O::headers, "Sent along.");
    return made;
}

const Spec<SeaSource>& sea_source() {
    using O = SeaSource;
    static const auto made = Spec<O>("sea source", "Reads the tables of a sea.")
                                 .include(source_spec())
                                 .field("table", &O::table, "The table.", {.example = "public.events"})
                                 .field("tables", &O::tables, "Patterns of tables.", {.example = "[\"public.*\"]"})
                                 .field("cursor", &O::cursor, "The column that grows.", {.example = "updated_at"})
                                 .field("cursor_lag", &O::cursor_lag, "How far to read back.")
                                 .field("chunk", &O::chunk, "Bytes read at once.")
                                 .field("batch_rows", &O::batch_rows, "Rows in a batch.", {.least = 1, .most = 1000})
                                 .field("sample", &O::sample, "The share that is read.", {.least = 0, .most = 1})
                                 .field("strict", &O::strict, "Whether | is allowed.")
                                 .field("extra", &O::extra, "Anything.")
                                 .unavailable("changes", "change data capture is planned")
                                 .one_of({"table", "tables"})
                                 .requires_other("cursor_lag", "cursor")
                                 .check([](const O& options, const Node&) -> Status {
                                     if (!options.strict || options.cursor.empty()) return {};
                                     return fail({.kind = ErrorKind::configuration,
                                                  .code = "strict_cursor",
                                                  .message = "a strict source has no cursor",
                                                  .where = options.cursor.place.text(),
                                                  .hint = "remove one"});
                                 });
    return made;
}

const Spec<LandTarget>& land_target() {
    static const auto made = Spec<LandTarget>("land target", "Writes tables on land.")
                                 .include(table_target_spec())
                                 .field("tokens", &LandTarget::tokens, "Keys to the land.");
    return made;
}

}  // namespace

const Catalog& sample_catalog() {
    static const Catalog catalog = {{"sea", "A sea to read from.", &sea_connection(), &sea_source(), nullptr},
                                    {"land", "Land to write to.", &connection_spec(), nullptr, &land_target()}};
    return catalog;
}

const Surroundings& sample_surroundings() {
    static const Surroundings surroundings{
        [](const std::string& name) -> std::optional<std::string> {
            if (name == "NAME") return "value";
            if (name == "EMPTY") return "";
            if (name == "TOKEN") return "hunter2-token";
            return std::nullopt;
        },
        [](const std::string& path) -> Result<std::string> {
            if (path == "secrets/token") return "from-a-file\n";
            return fail(
                {.kind = ErrorKind::configuration, .code = "reference_file", .message = "No such file or directory"});
        }};
    return surroundings;
}

}  // namespace penstock::config
