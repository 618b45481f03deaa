#include "backup/upload.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "backup/download.h"
#include "backup/part.h"
#include "io/folder_store.h"
#include "io/object_store.h"

namespace penstock::backup {
namespace {

struct Folder {
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-backup-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

BackupRecord record_named(const std::string& id) {
    return {.id = id,
            .name = "shop",
            .system_identifier = "1",
            .server_version = 150018,
            .start_lsn = "0/1",
            .end_lsn = "0/2"};
}

TEST_CASE("archives come back as they went, in parts") {
    Folder folder;
    Catalog catalog(io::folder_store(folder.path), "backups/shop/", Key::random());
    auto record = record_named("a");
    std::string large(part_bytes * 2 + 17, '\0');
    std::mt19937_64 random(7);
    for (auto& byte : large) byte = static_cast<char>(random());
    {
        Upload upload(catalog, record, 3);
        REQUIRE(upload.begin("base"));
        for (size_t at = 0; at < large.size(); at += 1'000'003)
            REQUIRE(upload.add(std::string_view(large).substr(at, 1'000'003)));
        REQUIRE(upload.begin("16400", "/mnt/space"));
        REQUIRE(upload.begin("manifest"));
        REQUIRE(upload.add("{}"));
        auto archives = upload.finish();
        REQUIRE(archives);
        record.archives = *archives;
    }
    REQUIRE(record.archives.size() == 3);
    CHECK(record.archives[0].parts == 3);
    CHECK(record.archives[0].bytes == large.size());
    CHECK(record.archives[0].stored_bytes > large.size());
    CHECK(record.archives[1].parts == 1);
    REQUIRE(catalog.put(record));
    auto found = catalog.find("");
    REQUIRE(found);
    CHECK(found->archives[1].location == "/mnt/space");
    CHECK(*download_whole(catalog, *found, "base") == large);
    CHECK(download_whole(catalog, *found, "16400")->empty());
    CHECK(*download_whole(catalog, *found, "manifest") == "{}");

    std::filesystem::remove(folder.path / "backups/shop/parts/a/base/000001");
    Download download(catalog, *found, found->archives[0], 2);
    CHECK(download.next()->value() == large.substr(0, part_bytes));
    CHECK(download.next().error().code == "no_such_object");
    CHECK(download.next()->value() == large.substr(part_bytes * 2));
    CHECK(!download.next()->has_value());
}

TEST_CASE("an upload that cannot write says so, and ends") {
    Folder folder;
    std::ofstream(folder.path / "file") << "in the way";
    Catalog catalog(io::folder_store(folder.path / "file"), "", Key::random());
    auto record = record_named("a");
    Upload upload(catalog, record, 2);
    REQUIRE(upload.begin("base"));
    std::string piece(part_bytes, 'x');
    Status status;
    for (int i = 0; status && i < 20; ++i) status = upload.add(piece);
    CHECK(!status);
    CHECK(!upload.finish());
}

TEST_CASE("the newest is found, what is damaged is never passed over") {
    Folder folder;
    auto store = io::folder_store(folder.path);
    Key key = Key::random();
    Catalog catalog(store, "", key);
    CHECK(catalog.find("").error().code == "no_such_backup");
    for (const auto* id : {"20261101t000000_aa", "20261102t000000_bb", "20261103t000000_cc"})
        REQUIRE(catalog.put(record_named(id)));
    CHECK(catalog.find("")->id == "20261103t000000_cc");
    CHECK(catalog.find("20261102")->id == "20261102t000000_bb");
    CHECK(catalog.find("202611").error().code == "ambiguous_backup");
    CHECK(catalog.find("2027").error().code == "no_such_backup");
    CHECK(Catalog(store, "", Key::random()).find("").error().code == "wrong_backup_key");

    // Whatever bit of an entry is another one, it is no entry any more.
    auto text = *store->get("catalog/20261103t000000_cc.json");
    for (size_t i = 0; i < text.size(); ++i) {
        std::string other = text;
        other[i] ^= 1;
        REQUIRE(store->put("catalog/20261103t000000_cc.json", other));
        REQUIRE(!catalog.find(""));
    }
    REQUIRE(store->put("catalog/20261104t000000_dd.json", text));
    CHECK(catalog.find("").error().message.ends_with("is the entry of 20261103t000000_cc, under another name"));
    CHECK(catalog.list()->size() == 4);
}

}  // namespace
}  // namespace penstock::backup
