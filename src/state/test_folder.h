#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <utility>

#include "state/connection.h"
#include "state/store.h"

namespace penstock::state {

inline const std::string url = "sqlite:sub folder/state.db";

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-state-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path file() const { return path / "sub folder/state.db"; }
    Store store() const {
        auto opened = Store::open(url, path);
        REQUIRE_MESSAGE(opened, opened.error().text());
        return std::move(*opened);
    }
    void execute(const std::string& statement) const {
        auto connection = Connection::open(file(), Connection::Create::no);
        REQUIRE(connection);
        REQUIRE((*connection)->write([&](soci::session& sql) -> Status {
            sql << statement;
            return {};
        }));
    }
};

}  // namespace penstock::state
