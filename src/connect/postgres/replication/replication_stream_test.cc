#include "connect/postgres/replication/replication_stream.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "connect/postgres/scripted_server.h"

namespace penstock::postgres {
namespace {

using namespace std::chrono_literals;
using Got = ReplicationStream::Got;

StreamRequest request(Lsn from = 0x100) {
    return {.slot = "s", .from = from, .options = {{"proto_version", "4"}, {"publication_names", "\"it's\""}}};
}

std::unique_ptr<ReplicationStream> started(ScriptedServer& server, std::stop_token stop = {}) {
    auto stream = ReplicationStream::start(server.options(), request(), std::move(stop));
    REQUIRE_MESSAGE(stream, (stream ? "" : stream.error().text()));
    return std::move(*stream);
}

/// The code of the error that the stream ends with.
std::string ends_with(ScriptedServer& server) {
    auto stream = started(server);
    ReplicationStream::Received message;
    for (int tries = 0; tries < 100; ++tries) {
        auto got = stream->receive(message, 5s);
        if (!got) return got.error().code;
        if (*got != Got::message) return "no error";
    }
    return "no end";
}

TEST_CASE("START_REPLICATION quotes by its own grammar") {
    CHECK(start_replication_command(request(Lsn(0x16'B374D848))) ==
          R"(START_REPLICATION SLOT "s" LOGICAL 16/B374D848 ("proto_version" '4', "publication_names" '"it''s"'))");
    CHECK(start_replication_command({.slot = "s"}) == R"(START_REPLICATION SLOT "s" LOGICAL 0/0)");
    CHECK(start_replication_command({.slot = "s", .options = {{"o", "a\\b"}}}) ==
          R"(START_REPLICATION SLOT "s" LOGICAL 0/0 ("o" 'a\b'))");
}

TEST_CASE("messages are whole however the stream is cut") {
    for (size_t cut : {1, 3, 0}) {
        std::string command;
        ScriptedServer server([&](ScriptedWire& wire) {
            command = wire.start_stream();
            wire.cut(cut);
            wire.data(0x110, "first");
            wire.keepalive(0x115, false);
            wire.send('N', std::string("SNOTICE\0\0", 9));
            wire.data(0, "");
            wire.data(0x120, "third");
            wire.wait();
        });
        auto stream = started(server);
        ReplicationStream::Received message;
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == "first");
        CHECK(message.end_lsn == Lsn(0x110));
        CHECK(message.sent_at_micros == epoch_micros);
        CHECK(stream->server_end() == Lsn(0x110));
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload.empty());
        CHECK(stream->server_end() == Lsn(0x115));  // by the keepalive; a position of 0 takes nothing back
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == "third");
        CHECK(stream->receive(message, 0ms) == Got::timeout);
        stream.reset();
        server.finish();
        CHECK(command.starts_with("START_REPLICATION SLOT \"s\" LOGICAL 0/100 ("));
    }
}

TEST_CASE("a server that says nothing is asked, and given up when it does not answer") {
    std::atomic<int> answers = 0;
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("400");
        while (answers < 3) {
            if (!wire.status().asks) continue;
            ++answers;
            wire.keepalive(0x200, false);
        }
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    auto began = std::chrono::steady_clock::now();
    Result<Got> got = Got::timeout;
    while (got && *got == Got::timeout && std::chrono::steady_clock::now() - began < 10s)
        got = stream->receive(message, 20ms);
    REQUIRE(!got);
    CHECK(got.error().code == "connection_lost");
    CHECK(got.error().kind == ErrorKind::unavailable);
    CHECK(answers == 3);
}

TEST_CASE("time away from the stream is no silence of the server") {
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("200");
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    for (int i = 0; i < 3; ++i) {
        CHECK(stream->receive(message, 1ms) == Got::timeout);
        std::this_thread::sleep_for(150ms);
    }
    CHECK(stream->receive(message, 1ms) == Got::timeout);
}

TEST_CASE("a message longer than the buffer comes whole, and small ones after it") {
    std::string large(5'000'000, '\0');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream();
        for (int i = 0; i < 3; ++i) {
            wire.data(0x200, "before");
            wire.data(0x210, large);
            wire.data(0x220, "after");
        }
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == "before");
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == large);
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == "after");
    }
}

TEST_CASE("many small messages, more than the buffer holds") {
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream();
        for (uint64_t i = 1; i <= 100'000; ++i) wire.data(0x200 + i, std::to_string(i));
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    for (int i = 1; i <= 100'000; ++i) {
        REQUIRE(stream->receive(message, 5s) == Got::message);
        REQUIRE(message.payload == std::to_string(i));
    }
}

TEST_CASE("a keepalive that asks is answered at once, without a call that receives the next") {
    ScriptedWire::StandbyStatus status;
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("0");  // no timeout: nothing is sent for ten seconds unless it must
        wire.data(0x110, "x");
        wire.keepalive(0x300, true);
        wire.data(0x310, "y");
        status = wire.status();
        wire.data(0x320, "answered");
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    for (std::string_view expected : {"x", "y", "answered"}) {
        REQUIRE(stream->receive(message, 5s) == Got::message);
        CHECK(message.payload == expected);
    }
    stream.reset();
    server.finish();
    CHECK(status.write >= 0x300);
    CHECK(status.flush == 0);  // nothing was confirmed
    CHECK(!status.asks);
}

TEST_CASE("ask() has the server tell where it is") {
    ScriptedServer server([](ScriptedWire& wire) {
        wire.start_stream("0");
        while (!wire.status().asks) continue;
        wire.keepalive(0x999, false);
        wire.wait();
    });
    auto stream = started(server);
    stream->ask();
    ReplicationStream::Received message;
    for (int i = 0; i < 50 && stream->server_end() != 0x999; ++i)
        REQUIRE(stream->receive(message, 100ms) == Got::timeout);
    CHECK(stream->server_end() == Lsn(0x999));
}

TEST_CASE("statuses go out while the caller is away, three in the server's patience") {
    std::atomic<int> statuses = 0;
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("300");
        while (true) wire.status(), ++statuses;
    });
    auto stream = started(server);
    for (int i = 0; i < 500 && statuses < 5; ++i) std::this_thread::sleep_for(10ms);
    CHECK(statuses >= 5);  // 5 s for what takes half a second; without the sender there is none
}

TEST_CASE("what is confirmed is told soon, never goes back, and never past what came") {
    std::vector<uint64_t> flushed;
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("0");
        wire.data(0x200, "x");
        while (flushed.empty() || flushed.back() < 0x200) flushed.push_back(wire.status().flush);
        wire.data(0x300, "told");
        wire.wait();
    });
    auto stream = started(server);
    ReplicationStream::Received message;
    REQUIRE(stream->receive(message, 5s) == Got::message);
    stream->confirm(0x180);
    stream->confirm(0x150);
    std::this_thread::sleep_for(1200ms);
    stream->confirm(0x5000);
    REQUIRE(stream->receive(message, 5s) == Got::message);
    CHECK(message.payload == "told");
    stream.reset();
    server.finish();
    CHECK(flushed == std::vector<uint64_t>{0x180, 0x200});
}

TEST_CASE("close() tells the last confirmed position, reads past what is under way, and is good after a stop") {
    uint64_t flush = 0;
    bool done = false;
    ScriptedServer server([&](ScriptedWire& wire) {
        wire.start_stream("0");
        wire.data(0x200, "x");
        wire.data(0x210, std::string(3'000'000, 'y'));
        flush = wire.status().flush;
        done = wire.next().type == 'c';
        wire.data(0x220, "under way");
        wire.send('c', "");
        wire.complete("COPY 0");
        wire.wait();
    });
    std::stop_source stop;
    auto stream = started(server, stop.get_token());
    ReplicationStream::Received message;
    REQUIRE(stream->receive(message, 5s) == Got::message);
    stop.request_stop();
    auto got = stream->receive(message, 5s);
    while (got && *got == Got::message) got = stream->receive(message, 5s);
    REQUIRE(!got);
    CHECK(got.error().kind == ErrorKind::interrupted);
    stream->confirm(0x200);
    auto closed = stream->close();
    CHECK_MESSAGE(closed, (closed ? "" : closed.error().text()));
    CHECK(stream->receive(message, 5s) == Got::end);
    stream.reset();
    server.finish();
    CHECK(done);
    CHECK(flush == 0x200);
}

TEST_CASE("a stop ends a wait") {
    ScriptedServer server([](ScriptedWire& wire) {
        wire.start_stream();
        wire.wait();
    });
    std::stop_source stop;
    auto stream = started(server, stop.get_token());
    std::jthread stopper([&] {
        std::this_thread::sleep_for(50ms);
        stop.request_stop();
    });
    ReplicationStream::Received message;
    auto got = stream->receive(message, 60s);
    REQUIRE(!got);
    CHECK(got.error().code == "interrupted");
}

TEST_CASE("each way a stream ends has its error") {
    auto after_data = [](auto end) {
        return [end](ScriptedWire& wire) {
            wire.start_stream();
            wire.data(0x110, "x");
            end(wire);
        };
    };
    auto code = [&](auto end) {
        ScriptedServer server(after_data(end));
        return ends_with(server);
    };
    CHECK(code([](ScriptedWire&) {}) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('C', std::string("COPY 0\0", 7)); }) == "server_gone");
    CHECK(code([](ScriptedWire& wire) { wire.send('c', ""); }) == "server_gone");
    CHECK(code([](ScriptedWire& wire) {
              wire.error("57P01", "terminating connection due to administrator command");
          }) == "server_gone");
    CHECK(code([](ScriptedWire& wire) { wire.error("42704", "publication \"p\" does not exist"); }) ==
          "publication_missing");
    CHECK(code([](ScriptedWire& wire) {
              wire.error("55000", "cannot read from logical replication slot \"s\" (This slot has been invalidated)");
          }) == "slot_lost");
    CHECK(code([](ScriptedWire& wire) {
              wire.error("58P01", "requested WAL segment 00000001 has already been removed");
          }) == "slot_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('d', "k12"); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('d', "w1234567"); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('d', ""); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('d', "?"); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.send('T', "?"); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.raw(std::string("d\0\0\0\3", 5)); }) == "connection_lost");
    CHECK(code([](ScriptedWire& wire) { wire.raw("d\xff\xff\xff\xff"); }) == "connection_lost");
}

TEST_CASE("a refused start says why") {
    ScriptedServer server([](ScriptedWire& wire) {
        wire.greet();
        wire.answer("60000");
        wire.next();
        wire.error("55000", "logical decoding requires wal_level >= logical");
        wire.ready();
        wire.wait();
    });
    auto stream = ReplicationStream::start(server.options(), request(), {});
    REQUIRE(!stream);
    CHECK(stream.error().code == "wal_level");
    CHECK(stream.error().kind == ErrorKind::refused);
    CHECK(stream.error().hint.find("ALTER SYSTEM SET wal_level = logical") != std::string::npos);
}

}  // namespace
}  // namespace penstock::postgres
