#include "connect/parquet/options.h"

#include <fmt/format.h>

#include "base/secret.h"
#include "config/mistake.h"
#include "config/spec.h"
#include "connect/parquet/path_template.h"
#include "io/url.h"

namespace penstock::parquet {
namespace {

using config::refuse;

Status check_bucket(const ConnectionOptions& options) {
    bool s3 = options.url.value.starts_with("s3:");
    std::string_view root = std::string_view(options.url.value).substr(3);
    if (!root.starts_with("//") || root.size() < 3 || root[2] == '/' || root.find_first_of("@?#") != root.npos)
        return refuse(options.url, "bad_url", redact(fmt::format("\"{}\" names no bucket", options.url.value)),
                      fmt::format("write url: \"{}://bucket/prefix\", without user and options", s3 ? "s3" : "gs"));
    if (!s3 && !(options.access_key.empty() && options.region.empty()))
        return refuse(options.url, "option_without_effect", "access_key and region are for s3: URLs only",
                      "leave them out; of gs: `credentials` names a key file");
    if (s3 && !options.credentials.empty())
        return refuse(options.url, "option_without_effect", "credentials, a Google key file, is for gs: URLs only",
                      "write access_key and secret_key, or leave all out for AWS_ACCESS_KEY_ID and the like");
    if (options.endpoint.empty()) return {};
    auto origin = io::origin_of(options.endpoint.value);
    if (!origin)
        return refuse(options.endpoint, "bad_endpoint",
                      redact(fmt::format("\"{}\" is no endpoint", options.endpoint.value)),
                      "write https:// and a host, or http://127.0.0.1:9000 for an emulator");
    if (!origin->encrypted && !origin->is_loopback() && !options.credentials.empty())
        return refuse(options.endpoint, "credentials_in_the_clear",
                      "credentials are never sent over a network without encryption",
                      "leave `credentials` out for an emulator, or write https://");
    return {};
}

Status check_connection(const ConnectionOptions& options, const config::Node&) {
    if (options.in_bucket()) return check_bucket(options);
    PN_CHECK(root_of(options));
    if (!options.endpoint.empty() || !options.region.empty() || !options.credentials.empty() ||
        !options.access_key.empty())
        return refuse(options.url, "option_without_effect", "endpoint, region and credentials are for gs: and s3: URLs",
                      "leave them out");
    return {};
}

Status check_path(const TargetOptions& options, const config::Node&) {
    if (auto good = check_template(options.path.value); !good) {
        good.error().where = options.path.place.text();
        return good;
    }
    bool keyed =
        options.mode && (*options.mode == config::WriteMode::merge || *options.mode == config::WriteMode::history);
    if (keyed && has_time(options.path.value))
        return refuse(options.path, "path_has_time",
                      fmt::format("mode {} rewrites one folder, and path \"{}\" has time parts",
                                  config::to_string(*options.mode), options.path.value),
                      "leave {yyyy} and the like out of `path:`, or use mode: append");
    if (options.file_bytes && !options.partition_by.empty())
        return refuse(options.path, "options_exclude_each_other",
                      "file_bytes bounds files of one folder and cannot be had together with partition_by",
                      "leave one of them out: with partition_by each partition gets files of its own");
    if (options.compression_level && options.compression != Compression::zstd)
        return refuse(options.path, "option_without_effect", "compression_level is for compression: zstd only",
                      "leave it out");
    return {};
}

}  // namespace

bool ConnectionOptions::in_bucket() const { return url.value.starts_with("gs:") || url.value.starts_with("s3:"); }

WriteOptions TargetOptions::write() const {
    WriteOptions options{.compression = compression,
                         .compression_level = compression_level,
                         .row_group_rows = row_group_rows,
                         .version = parquet_version,
                         .bloom_filters = bloom_filters};
    if (row_group_bytes) options.row_group_bytes = row_group_bytes->count;
    if (file_bytes) options.file_bytes = file_bytes->count;
    return options;
}

const config::Spec<ConnectionOptions>& connection_spec() {
    using C = ConnectionOptions;
    static const auto made =
        config::Spec<C>("files connection",
                        "A folder or a bucket that holds tables or archived messages as files, or files to read.")
            .include(config::connection_spec())
            .required(
                "url", &C::url,
                "A folder, as `file:` and a path; a relative one starts at the configuration file, and the first "
                "run creates it. Or, to read from and for the archive of an event stream, `gs://bucket/prefix` or "
                "`s3://bucket/prefix`. Besides the data it holds `_penstock/`, which readers skip.",
                {.example = "file:lake"})
            .field("endpoint", &C::endpoint, "Of gs: and s3:, another service that speaks the same.",
                   {.example = "http://127.0.0.1:9000"})
            .field("region", &C::region, "Of s3:, the bucket's.",
                   {.example = "eu-west-1", .default_note = "AWS_REGION, the profile's, or the machine's"})
            .field("credentials", &C::credentials, "Of gs:, a service account's key file (JSON).",
                   {.example = "service-account.json",
                    .default_note = "Application Default Credentials; nothing for an http:// endpoint"})
            .field("access_key", &C::access_key, "Of s3:, an access key's id.",
                   {.example = "\"${LAKE_ACCESS_KEY}\"",
                    .default_note = "AWS_ACCESS_KEY_ID, the profile of ~/.aws, or the machine's role"})
            .field("secret_key", &C::secret_key, "Of s3:, the secret of `access_key`.",
                   {.example = "\"${LAKE_SECRET_KEY}\""})
            .field("session_token", &C::session_token, "Of s3:, where the key is a temporary one.")
            .requires_other("access_key", "secret_key")
            .requires_other("secret_key", "access_key")
            .requires_other("session_token", "access_key")
            .field("retry_for", &C::retry_for,
                   "Of gs: and s3:, how long a call that failed for the moment is tried again.")
            .check(check_connection);
    return made;
}

const config::Spec<TargetOptions>& target_spec() {
    using O = TargetOptions;
    static const auto made =
        config::Spec<O>("files target", "Parquet files below the connection's folder.")
            .include(config::target_spec())
            .choice("format", &O::format, {{"parquet", Format::parquet, "Apache Parquet"}}, "How rows are written.")
            .field(
                "path", &O::path,
                "The folder of a table: {table} and {schema} of the source, {yyyy} {MM} {dd} {HH} {mm} {ss} {yyyyMMdd} "
                "{yyyyMMddHHmmss} of the run's start in UTC. Each run adds a folder of its own below, at once.",
                {.example = "{table}/dt={yyyy}-{MM}-{dd}/"})
            .choice("compression", &O::compression,
                    {{"zstd", Compression::zstd, "small and quick"},
                     {"snappy", Compression::snappy, "quickest, half as large again"},
                     {"gzip", Compression::gzip, "for old readers"},
                     {"uncompressed", Compression::uncompressed, "not at all"}},
                    "The codec of the column chunks.")
            .field("compression_level", &O::compression_level, "Of zstd: higher is smaller and slower.",
                   {"", "1", 1, 22})
            .field("row_group_rows", &O::row_group_rows, "Rows in a row group, rounded to whole blocks of 2048.",
                   {"", "", 2048, 10'000'000})
            .field("row_group_bytes", &O::row_group_bytes,
                   "Bytes in memory at which a row group ends even before it has its rows.", {"64MiB"})
            .field("file_bytes", &O::file_bytes,
                   "A file that has grown past this is closed and another begun. Without it a run is one file.",
                   {"256MiB"})
            .choice("parquet_version", &O::parquet_version,
                    {{"v1", FileVersion::v1, "plain and dictionary encodings only, for readers of long ago"},
                     {"v2", FileVersion::v2, "delta and split encodings too: smaller, for less work"}},
                    "The encodings that may be used.")
            .field("commit_every", &O::commit_every,
                   "How long a stream that is followed waits between two commits at least: each adds files. What fills "
                   "memory goes at once.")
            .field("bloom_filters", &O::bloom_filters,
                   "Bloom filters for columns with few distinct values, so that a reader looking for one value skips "
                   "row groups "
                   "that lack it. They cost a tenth of a load's work and 1% of its size.")
            .check(check_path);
    return made;
}

Result<Path> root_of(const ConnectionOptions& options) {
    const std::string& url = options.url.value;
    if (options.in_bucket())
        return refuse(
            options.url, "not_available",
            fmt::format("tables cannot be written to \"{}\" URLs in this version, only the archive of an event "
                        "stream can",
                        url.substr(0, 3)),
            "write tables to a folder: url: \"file:lake\"");
    for (std::string_view scheme : {"az:", "abfss:", "https:", "http:"})
        if (url.starts_with(scheme))
            return refuse(
                options.url, "not_available", fmt::format("\"{}\" URLs are not available in this version", scheme),
                "write url: \"file:lake\", or \"gs://bucket/prefix\" or \"s3://bucket/prefix\" for an archive");
    if (!url.starts_with("file:"))
        return refuse(options.url, "bad_url", fmt::format("\"{}\" is not a file: URL", url),
                      "write url: \"file:lake\" or \"file:///data/lake\"");
    std::string path = url.substr(5);
    if (path.starts_with("//")) path = path.substr(path.starts_with("///") ? 2 : 0);
    if (path.empty() || path.starts_with("//"))
        return refuse(options.url, "bad_url", fmt::format("\"{}\" names no folder of this machine", url),
                      "write url: \"file:lake\" or \"file:///data/lake\"");
    return std::filesystem::absolute(config::relative_to_file(options.url.place, path)).lexically_normal();
}

}  // namespace penstock::parquet
