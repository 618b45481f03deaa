#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <utility>

#include "state/connection.h"
#include "state/store.h"

namespace penstock::state {

/// A SQLite file in the test's folder; PENSTOCK_STATE_TEST_URL puts a server's database in its place, which is emptied
/// for every test. What only a file can show is called "sqlite: …".
inline const std::string url = std::getenv("PENSTOCK_STATE_TEST_URL") != nullptr
                                   ? std::getenv("PENSTOCK_STATE_TEST_URL")
                                   : "sqlite:sub folder/state.db";

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "penstock-state-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
        auto where = place();
        if (where.engine == Engine::sqlite) return;
        const auto& dialect = Dialect::of(where.engine);
        soci::session sql;
        dialect.connect(sql, where);
        if (where.engine == Engine::postgres) sql << "DROP SCHEMA IF EXISTS penstock CASCADE";
        for (std::string table : {"runs", "locks", "seats", "checkpoints", "rejects", "messages", "spending", "bills",
                                  "watches", "intervals", "measures", "notices", "audit", "run_logs", "schema_version"})
            if (where.engine == Engine::mysql) sql << "DROP TABLE IF EXISTS penstock_" + table;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path file() const { return path / "sub folder/state.db"; }
    Place place() const {
        auto found = place_of(url, path);
        REQUIRE_MESSAGE(found, found.error().text());
        return std::move(*found);
    }
    Store store() const {
        auto opened = Store::open(url, path);
        REQUIRE_MESSAGE(opened, opened.error().text());
        return std::move(*opened);
    }
    bool is_there() const {
        auto existing = Store::open_existing(url, path);
        REQUIRE_MESSAGE(existing, existing.error().text());
        return existing->has_value();
    }
    void execute(const std::string& statement) const {
        auto connection = Connection::open(place(), Connection::Create::no);
        REQUIRE(connection);
        REQUIRE((*connection)->write_again([&](soci::session& sql) -> Status {
            sql << statement;
            return {};
        }));
    }
    /// A statement that cannot be had twice, through connections that lose answers.
    void execute_once(const std::string& statement) const {
        auto connection = Connection::open(place(), Connection::Create::no);
        REQUIRE(connection);
        int attempts = 0;
        REQUIRE((*connection)->write_again([&](soci::session& sql) -> Status {
            try {
                ++attempts;
                sql << statement;
            } catch (const soci::soci_error&) {
                if (attempts == 1) throw;
            }
            return {};
        }));
    }
};

}  // namespace penstock::state
