#include "backup/tar.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <vector>

#include "backup/manifest.h"
#include "base/digest.h"

namespace penstock::backup {
namespace {

std::string with_sum(std::string header) {
    header.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (unsigned char byte : header) sum += byte;
    header.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    return header;
}

/// A member as PostgreSQL's tarCreateHeader writes it.
std::string member(const std::string& path, char kind, const std::string& content = "", const std::string& size = "") {
    std::string header(512, '\0');
    header.replace(0, path.size(), path);
    header.replace(100, 7, "0000600");
    header.replace(124, 11, size.empty() ? fmt::format("{:011o}", content.size()) : size);
    header[156] = kind;
    header.replace(257, 5, "ustar");
    std::string padding((512 - content.size() % 512) % 512, '\0');
    return with_sum(header) + content + padding;
}

struct Seen : TarTaker {
    std::vector<std::string> events;
    Status begin(const TarEntry& entry) override {
        events.push_back(fmt::format("{} {} {} {:o} @{}", static_cast<int>(entry.kind), entry.path, entry.size,
                                     entry.mode, entry.offset));
        return {};
    }
    Status content(std::string_view bytes) override {
        text += bytes;
        return {};
    }
    Status end() override {
        events.push_back(text);
        text.clear();
        return {};
    }
    std::string text;
};

TEST_CASE("members come whole, however the archive is cut") {
    std::string archive = member("backup_label", '0', "START") + member("global/", '5') +
                          member("base/1/1", '0', std::string(512, 'x')) + member("empty", '0') +
                          std::string(1024, '\0');
    for (size_t cut : {size_t{1}, size_t{3}, size_t{511}, size_t{512}, size_t{513}, archive.size()}) {
        Seen seen;
        TarReader reader(seen);
        for (size_t at = 0; at < archive.size(); at += cut)
            REQUIRE(reader.add(std::string_view(archive).substr(at, cut)));
        REQUIRE(reader.finish());
        CHECK(seen.events == std::vector<std::string>{"0 backup_label 5 600 @512", "START", "1 global 0 600 @1536", "",
                                                      "0 base/1/1 512 600 @2048", std::string(512, 'x'),
                                                      "0 empty 0 600 @3072", ""});
    }
    Seen seen;
    TarReader reader(seen);
    REQUIRE(reader.add(std::string_view(archive).substr(0, 520)));
    CHECK(!reader.finish());
}

TEST_CASE("sizes above 8 GiB are in base 256") {
    std::string size("\x80\0\0\0\0\0\0\x03\0\0\0\0", 12);
    Seen seen;
    TarReader reader(seen);
    std::string header = member("big", '0', "", size.substr(0, 11));
    REQUIRE(reader.add(with_sum(header)));
    CHECK(seen.events.front().starts_with("0 big 12884901888 "));
}

TEST_CASE("an archive that would write elsewhere is refused") {
    for (const auto* path : {"../evil", "/etc/passwd", "base/../../evil"}) {
        Seen seen;
        TarReader reader(seen);
        CHECK(reader.add(member(path, '0', "x")).error().code == "bad_tar");
    }
    Seen seen;
    TarReader reader(seen);
    std::string broken = member("a", '0', "x");
    broken[3] ^= 1;
    CHECK(reader.add(broken).error().code == "bad_tar");
}

std::string manifest_of(const std::string& files) {
    std::string text =
        "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n" + files +
        "],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000138\" }\n],\n";
    return text + "\"Manifest-Checksum\": \"" + sha256_hex(text) + "\"}\n";
}

TEST_CASE("files are compared with the server's manifest") {
    auto entry = [](const std::string& path, const std::string& content) {
        return fmt::format(
            R"({{ {}, "Size": {}, "Last-Modified": "x", "Checksum-Algorithm": "SHA256", "Checksum": "{}" }})", path,
            content.size(), sha256_hex(content));
    };
    auto text =
        manifest_of(entry(R"("Path": "base/1/1")", "one") + ",\n" + entry(R"("Encoded-Path": "ff2f32")", "two") + "\n");
    auto manifest = read_manifest(text);
    REQUIRE(manifest);
    CHECK(manifest->files.size() == 2);
    auto found = [](const std::string& path, const std::string& content) {
        return FoundFile{.path = path, .archive = "base", .offset = 0, .state = {content.size(), sha256_hex(content)}};
    };
    auto faults = [&](std::vector<FoundFile> files) {
        std::string all;
        for (const auto& fault : compare(files, *manifest)) all += fault.path + " " + fault.what + "\n";
        return all;
    };
    std::string odd = "\xff/2";
    CHECK(
        faults({found("base/1/1", "one"), found(odd, "two"), found("pg_wal/000000010000000000000002", "log")}).empty());
    CHECK(faults({found("base/1/1", "onE"), found(odd, "two")}) ==
          "base/1/1 has another content than the server's manifest says\n");
    CHECK(faults({found("base/1/1", "on"), found(odd, "two")}) ==
          "base/1/1 has 2 bytes, and the server's manifest says 3\n");
    CHECK(faults({found("base/1/1", "one")}) == odd + " is missing\n");
    CHECK(faults({found("base/1/1", "one"), found(odd, "two"), found("more", "")}) ==
          "more is in no manifest of the server\n");
    text[text.find("one") == text.npos ? 60 : 0] ^= 1;
    CHECK(read_manifest(text).error().code == "bad_manifest");
    CHECK(!read_manifest(""));
    CHECK(!read_manifest(manifest_of("")));
}

}  // namespace
}  // namespace penstock::backup
