#include "connect/postgres/copy_stream.h"

#include <doctest/doctest.h>

#include <memory>

#include "connect/postgres/scripted_server.h"

namespace penstock::postgres {
namespace {

using Got = CopyStream::Got;

std::unique_ptr<Session> connected(ScriptedServer& server) {
    auto session = Session::connect(server.options(), "test", {}, Session::Channel::replication);  // simple queries
    REQUIRE_MESSAGE(session, (session ? "" : session.error().text()));
    return std::move(*session);
}

TEST_CASE("rows come in place, however they are cut, and the session is of use afterwards") {
    for (size_t cut : {1, 7, 0}) {
        ScriptedServer server([&](ScriptedWire& wire) {
            wire.greet();
            for (int round = 0; round < 2; ++round) {
                wire.next();
                wire.cut(cut);
                wire.send('H', std::string("\1\0\0", 3));
                wire.send('d', "one");
                wire.send('N', std::string("SNOTICE\0\0", 9));
                wire.send('d', "two");
                wire.send('c', "");
                wire.complete("COPY 2");
                wire.answer("idle again");
            }
            wire.wait();
        });
        auto session = connected(server);
        for (int round = 0; round < 2; ++round) {
            CopyStream stream(*session, {});
            REQUIRE(stream.start("COPY t TO STDOUT"));
            std::string_view first, second, none;
            REQUIRE(stream.next(first) == Got::message);
            REQUIRE(stream.next(second) == Got::message);
            CHECK(first == "one");  // still there
            CHECK(second == "two");
            REQUIRE(stream.next(none) == Got::end);
            stream.release();
            REQUIRE(stream.settle());
            auto rows = session->query("SELECT 'idle again'");
            REQUIRE(rows);
            CHECK(rows->text(0, 0) == "idle again");
        }
    }
}

TEST_CASE("what is in use stays until released, and a row longer than the buffer fits after that") {
    std::string large(3'000'000, 'L');
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.greet();
        wire.next();
        wire.send('H', std::string("\1\0\0", 3));
        wire.send('d', "small");
        wire.send('d', large);
        wire.send('c', "");
        wire.complete("COPY 2");
        wire.wait();
    });
    auto session = connected(server);
    CopyStream stream(*session, {});
    REQUIRE(stream.start("COPY t TO STDOUT"));
    std::string_view row;
    REQUIRE(stream.next(row) == Got::message);
    std::string_view other;
    REQUIRE(stream.next(other) == Got::full);
    CHECK(row == "small");
    stream.release();
    REQUIRE(stream.next(other) == Got::message);
    CHECK(other == large);
}

TEST_CASE("an error in the middle, and a connection that ends, are errors") {
    for (bool told : {true, false}) {
        ScriptedServer server([&](ScriptedWire& wire) {
            wire.greet();
            wire.next();
            wire.send('H', std::string("\1\0\0", 3));
            wire.send('d', "one");
            if (told) wire.error("22012", "division by zero");
        });
        auto session = connected(server);
        CopyStream stream(*session, {});
        REQUIRE(stream.start("COPY t TO STDOUT"));
        std::string_view row;
        REQUIRE(stream.next(row) == Got::message);
        auto next = stream.next(row);
        if (next && *next == Got::full) stream.release(), next = stream.next(row);
        REQUIRE(!next);
        CHECK(next.error().code == (told ? "server_data" : "connection_lost"));
    }
}

}  // namespace
}  // namespace penstock::postgres
