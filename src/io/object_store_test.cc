#include "io/object_store.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace penstock::io {
namespace {

class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-objects-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
        store = *ObjectStore::open({.url = "file://" + name});
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::filesystem::path path;
    std::shared_ptr<ObjectStore> store;
};

TEST_CASE("objects of a folder are put, read, listed and removed") {
    Folder folder;
    auto& store = *folder.store;
    CHECK(store.list("")->empty());
    CHECK(store.list("not/there/")->empty());
    REQUIRE(store.put("a/b.txt", "one"));
    REQUIRE(store.put("a/b.txt", "three"));
    REQUIRE(store.put("a.txt", ""));
    CHECK(store.get("a/b.txt") == std::string("three"));
    CHECK(store.get("a.txt") == std::string());
    auto reader = *store.read("a/b.txt");
    CHECK(reader->read(2) == std::string("th"));
    CHECK(reader->read(30) == std::string("ree"));
    CHECK(reader->read(3) == std::string());
    CHECK(store.read("a/c.txt").error().code == "no_such_object");
    CHECK((*store.info("a/b.txt"))->size == 5);
    CHECK(!*store.info("a/c.txt"));
    CHECK(!*store.info("a.txt/b"));
    auto listed = store.list("");
    REQUIRE(listed->size() == 2);
    CHECK(listed->front().name == "a.txt");
    CHECK(listed->back().name == "a/b.txt");
    CHECK(store.list("a/")->size() == 1);
    REQUIRE(store.remove("a/b.txt"));
    REQUIRE(store.remove("a/b.txt"));
    CHECK(store.get("a/b.txt").error().code == "no_such_object");
    REQUIRE(store.put("big", "12345"));
    CHECK(store.get("big", 4).error().code == "object_too_large");
    CHECK(store.url("a/b") == "file://" + (folder.path / "a/b").string());
}

TEST_CASE("an object is there whole or not at all, and what is not closed never is") {
    Folder folder;
    {
        auto writer = folder.store->write("x");
        auto other = folder.store->write_new("y");
        REQUIRE((*writer)->write("half"));
        REQUIRE((*other)->write("half"));
        CHECK(folder.store->list("")->empty());
    }
    CHECK(folder.store->list("")->empty());
    CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("of many that want a name, one gets it") {
    Folder folder;
    for (int round = 0; round < 20; ++round) {
        auto name = "f/" + std::to_string(round);
        std::atomic<int> winners = 0;
        {
            std::vector<std::jthread> threads;
            for (int i = 0; i < 4; ++i)
                threads.emplace_back([&, i] { winners += folder.store->put_new(name, std::to_string(i)).value(); });
        }
        CHECK(winners == 1);
    }
    CHECK(folder.store->list("")->size() == 20);
}

TEST_CASE("failures name the object and what to do") {
    Folder folder;
    REQUIRE(folder.store->put("file", "x"));
    auto refused = folder.store->put("file/below", "x");
    REQUIRE(!refused);
    CHECK(refused.error().code == "path_in_the_way");
    CHECK(refused.error().message.find((folder.path / "file").string()) != std::string::npos);
    CHECK(!refused.error().hint.empty());
    for (auto url : {"ftp://x/y", "gs://", "s3:///x", "lake", "s3://key:secret@bucket/x"}) {
        auto opened = ObjectStore::open({.url = url});
        REQUIRE_MESSAGE(!opened, url);
        CHECK(opened.error().code == "bad_url");
        CHECK(opened.error().message.find("secret") == std::string::npos);
    }
}

}  // namespace
}  // namespace penstock::io
