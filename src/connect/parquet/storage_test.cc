#include "connect/parquet/storage.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "config/spec.h"
#include "connect/parquet/options.h"
#include "connect/parquet/targets.h"
#include "connect/parquet/test_lake.h"

namespace penstock::parquet {
namespace {

TEST_CASE("every failure of the file system says who must act and what to do") {
    struct Case {
        int number;
        ErrorKind kind;
        const char* code;
    };
    for (auto [number, kind, code] : {Case{ENOSPC, ErrorKind::capacity, "disk_full"},
                                      {EDQUOT, ErrorKind::capacity, "disk_full"},
                                      {EACCES, ErrorKind::refused, "no_permission"},
                                      {EROFS, ErrorKind::refused, "no_permission"},
                                      {ENOENT, ErrorKind::refused, "path_vanished"},
                                      {EXDEV, ErrorKind::refused, "other_file_system"},
                                      {ENOTDIR, ErrorKind::refused, "path_in_the_way"},
                                      {EIO, ErrorKind::unavailable, "storage_unavailable"},
                                      {EMFILE, ErrorKind::refused, "storage_failed"}}) {
        auto error = storage_error("write", "/lake/x", number);
        CHECK(error.kind == kind);
        CHECK(error.code == code);
        CHECK(error.message.starts_with("cannot write /lake/x: "));
        CHECK_FALSE(error.hint.empty());
    }
}

TEST_CASE("a folder this user may not write is refused before anything is read") {
    Lake lake;
    ::chmod(lake.root().c_str(), 0555);
    pid_t child = fork();
    if (child == 0) {
        if (::geteuid() == 0 && ::setuid(65534) != 0) _exit(2);  // root may write everywhere
        auto refused = check_root(lake.root() / "below");
        _exit(!refused && refused.error().code == "no_permission" ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WEXITSTATUS(status) == 0);
    ::chmod(lake.root().c_str(), 0755);
}

TEST_CASE("a file where the folder should be; a folder that vanishes during the run") {
    Lake lake;
    REQUIRE(write_file(lake.root() / "file", "x"));
    CHECK(check_root(lake.root() / "file" / "lake").error().code == "path_in_the_way");
    auto sink = lake.sink();
    REQUIRE(sink->begin({"p", "run"}));
    std::filesystem::remove_all(lake.root() / "_penstock");
    auto target = lake.target("t");
    flow::Progress progress;
    flow::RejectLog rejects{flow::RejectPolicy{}};
    RowScan scan(lake.schema, rows(0, 10), {});
    auto counts = sink->load(target, scan, {progress, rejects, {}});
    flow::Checkpoint checkpoint;
    std::vector<flow::TableCommit> commits = {{target, checkpoint, *counts, rejects}};
    std::filesystem::remove_all(lake.root() / "_penstock");
    auto failed = sink->commit(commits);
    REQUIRE_FALSE(failed);
    CHECK_FALSE(failed.error().hint.empty());
    CHECK_FALSE(is_there(lake.root() / "t"));
}

config::Node yaml(std::string_view text) { return *config::load_text(text, "penstock.yaml"); }

std::string refusal(const auto& spec, std::string_view text) {
    auto parsed = spec.parse(yaml(text));
    return parsed ? "" : parsed.error().code;
}

TEST_CASE("options: what is written, what is refused") {
    auto options = target_spec().parse(
        yaml("{connection: lake, format: parquet, path: '{table}/', compression_level: 3, file_bytes: 1MiB}"));
    REQUIRE(options);
    CHECK(options->write().compression_level == 3);
    CHECK(options->write().file_bytes == 1048576u);
    CHECK_FALSE(refusal(target_spec(), "{connection: lake, path: '../{table}'}").empty());
    CHECK_FALSE(refusal(target_spec(), "{connection: lake, path: '{table}/{yyyy}', mode: merge, key: [id]}").empty());
    CHECK_FALSE(refusal(target_spec(), "{connection: lake, file_bytes: 1MiB, partition_by: x}").empty());
    CHECK_FALSE(refusal(target_spec(), "{connection: lake, compression: gzip, compression_level: 3}").empty());
    CHECK_FALSE(refusal(target_spec(), "{connection: lake, format: csv}").empty());
    CHECK_FALSE(refusal(connection_spec(), "{type: files, url: 'lake'}").empty());
    auto connection = connection_spec().parse(yaml("{type: files, url: 'file:///data/lake'}"));
    REQUIRE(connection);
    CHECK(*root_of(*connection) == Path("/data/lake"));
}

TEST_CASE("buckets are for archives: their options, and no tables") {
    for (auto good : {"{type: files, url: 'gs://b'}", "{type: files, url: 'gs://b/x', credentials: key.json}",
                      "{type: files, url: 's3://b/x', region: eu-west-1, access_key: a, secret_key: b}",
                      "{type: files, url: 's3://b/x', endpoint: 'http://127.0.0.1:9000'}"}) {
        auto options = connection_spec().parse(yaml(good));
        REQUIRE_MESSAGE(options, good);
        CHECK(options->in_bucket());
        auto root = root_of(*options);
        REQUIRE(!root);
        CHECK(root.error().code == "not_available");
        CHECK(root.error().hint.find("file:") != std::string::npos);
    }
    auto code = [](const char* text) { return refusal(connection_spec(), text); };
    CHECK(code("{type: files, url: 's3:///x'}") == "bad_url");
    CHECK(code("{type: files, url: 's3://key:secret@b/x'}") == "bad_url");
    CHECK(code("{type: files, url: 'gs://b', endpoint: 'here'}") == "bad_endpoint");
    CHECK(code("{type: files, url: 'gs://b', endpoint: 'http://there:1', credentials: k.json}") ==
          "credentials_in_the_clear");
    CHECK(code("{type: files, url: 'gs://b', region: x}") == "option_without_effect");
    CHECK(code("{type: files, url: 's3://b', credentials: k.json}") == "option_without_effect");
    CHECK(code("{type: files, url: 'file:lake', region: x}") == "option_without_effect");
    CHECK_FALSE(code("{type: files, url: 's3://b', access_key: x}").empty());
    CHECK_FALSE(code("{type: files, url: 'az://b'}").empty());
}

}  // namespace
}  // namespace penstock::parquet
