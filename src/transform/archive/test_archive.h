#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "io/object_store.h"
#include "transform/archive/archive.h"

namespace penstock::archive {

/// A folder that goes with the test, as an object store.
class TestFolder {
  public:
    TestFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-archive-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
        auto opened = io::ObjectStore::open({.url = "file://" + (path / "store").string()});
        REQUIRE(opened);
        store = *opened;
    }
    ~TestFolder() { std::filesystem::remove_all(path); }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;

    std::vector<std::string> names() const {
        auto found = store->list("");
        REQUIRE(found);
        std::vector<std::string> names;
        for (const auto& one : *found) names.push_back(one.name);
        return names;
    }

    std::filesystem::path path;
    std::shared_ptr<io::ObjectStore> store;
};

/// A message whose texts it owns.
struct Owned {
    std::string route;
    std::string payload;
    std::string position;
    int64_t received_micros = 0;
    std::string key = {};
    std::string attributes = {};
    int64_t sent_micros = 0;

    flow::Message message() const {
        return {.payload = payload,
                .key = key,
                .attributes = attributes,
                .position = position,
                .sent_micros = sent_micros,
                .received_micros = received_micros};
    }
    bool operator==(const Owned&) const = default;
};

inline TimePoint at(int64_t micros) { return TimePoint(std::chrono::microseconds(micros)); }

/// Everything that the archive has of [from, to), each object verified.
inline Result<std::vector<Owned>> read_all(io::ObjectStore& store, const std::string& pipeline,
                                           const ArchiveOptions& options, TimePoint from, TimePoint to,
                                           const std::vector<std::string>& routes = {}) {
    ArchiveReader reader(store, pipeline, options);
    PN_TRY(auto objects, reader.objects(from, to, routes));
    std::vector<Owned> found;
    for (const auto& object : objects) {
        PN_CHECK(reader.verify(object));
        PN_TRY(auto messages, reader.open(object));
        for (;;) {
            PN_TRY(auto one, messages->next());
            if (!one) break;
            const auto& m = one->message;
            found.push_back({.route = object.route,
                             .payload = std::string(m.payload),
                             .position = std::string(m.position),
                             .received_micros = m.received_micros,
                             .key = std::string(m.key),
                             .attributes = std::string(m.attributes),
                             .sent_micros = m.sent_micros});
        }
    }
    return found;
}

}  // namespace penstock::archive
