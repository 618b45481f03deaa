// The stream against a real server.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "connect/postgres/replication/live_capture.h"
#include "connect/postgres/replication/replication_stream.h"
#include "connect/postgres/replication/slot.h"

namespace penstock::postgres {
namespace {

using namespace std::chrono_literals;
using Got = ReplicationStream::Got;
using Channel = Session::Channel;

TEST_CASE("live: the exported snapshot and the stream meet without a gap or a double row") {
    Captured table("meeting");
    table.insert(1, 10);
    auto reader = session();
    must(reader->execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    must(reader->execute("SET TRANSACTION SNAPSHOT " + quote_literal(table.created.snapshot)));
    auto before = must(reader->query("SELECT count(*), max(id) FROM meeting"));
    CHECK(before.integer(0, 0) == 1);
    CHECK(before.integer(0, 1) == -1);
    auto stream = table.stream(table.created.consistent_point);
    CHECK(read_rows(*stream, 10).rows == 10);
    ReplicationStream::Received message;
    CHECK(must(stream->receive(message, 100ms)) == Got::timeout);
}

TEST_CASE("live: what was confirmed does not come again, what was not does") {
    Captured table("again");
    table.insert(1, 5);
    Lsn durable;
    {
        auto stream = table.stream();
        durable = read_rows(*stream, 5).last_commit;
        table.insert(6, 10);
        read_rows(*stream, 5, false);
        must(stream->close());
    }
    CHECK(table.state().confirmed_flush_lsn == durable);
    CHECK(!table.state().active);
    auto stream = table.stream(durable);
    CHECK(read_rows(*stream, 5).rows == 5);
    ReplicationStream::Received message;
    CHECK(must(stream->receive(message, 100ms)) == Got::timeout);
}

TEST_CASE("live: a stream outlives the server's patience while nobody receives, and nothing is missing then") {
    Captured table("away");
    table.insert(1, 100'000, "repeat('x', 200)");  // more than sockets hold: the server waits in the middle
    auto stream = table.stream(0, "options='-c wal_sender_timeout=1s'");
    read_rows(*stream, 0);
    std::this_thread::sleep_for(4s);
    CHECK(read_rows(*stream, 100'000).rows == 100'000);
    std::this_thread::sleep_for(3s);
    table.insert(100'001, 100'003);
    CHECK(read_rows(*stream, 3).rows == 3);
}

TEST_CASE("live: a value of 50 MB") {
    Captured table("large");
    table.insert(1, 1, "repeat('0123456789', 5000000)");
    table.insert(2, 2);
    auto stream = table.stream();
    auto seen = read_rows(*stream, 2);
    CHECK(seen.bytes > 50'000'000);
    CHECK(seen.bytes < 50'001'000);
}

TEST_CASE("live: the position follows an idle table while others write") {
    Captured table("idle");
    sql("CREATE TABLE busy (text text)");
    auto stream = table.stream();
    sql("INSERT INTO busy SELECT repeat('x', 1000) FROM generate_series(1, 5000)");
    auto replication = session(Channel::replication);
    auto goal = must(identify_system(*replication)).flushed;
    ReplicationStream::Received message;
    for (int tries = 0; tries < 100 && stream->server_end() < goal; ++tries) {
        stream->ask();
        auto got = must(stream->receive(message, 50ms));
        if (got == Got::timeout) stream->confirm(stream->server_end());
    }
    CHECK(stream->server_end() >= goal);
    stream->confirm(stream->server_end());
    must(stream->close());
    CHECK(*table.state().confirmed_flush_lsn >= goal);
}

TEST_CASE("live: a held slot names its holder") {
    Captured table("held");
    auto stream = table.stream();
    auto second = ReplicationStream::start(table.at.options(), table.request(), {});
    REQUIRE(!second);
    CHECK(second.error().code == "slot_active");
    CHECK(second.error().kind == ErrorKind::conflict);
    CHECK_MESSAGE(second.error().message.find(fmt::format("it is read by process {}, penstock/held, user postgres",
                                                          stream->server_pid())) != std::string::npos,
                  second.error().message);
    auto state = table.state();
    CHECK(state.active);
    CHECK(state.active_pid == stream->server_pid());
}

TEST_CASE("live: what stands in the way of a stream is named") {
    Captured table("ways");
    sql("CREATE ROLE nobody LOGIN; CREATE ROLE replicator LOGIN REPLICATION; GRANT pg_read_all_data TO nobody");
    sql("CREATE DATABASE elsewhere");
    CHECK(table.refusal("nobody") == "no_replication_privilege");
    CHECK(table.refusal("postgres", "elsewhere") == "slot_database");
    must(session()->query("SELECT pg_create_physical_replication_slot('physical', true)"));
    auto request = table.request();
    auto code = [&](const StreamRequest& asked) {
        auto stream = ReplicationStream::start(table.at.options(), asked, {});
        if (!stream) return stream.error().code;
        table.insert(1, 1);
        ReplicationStream::Received message;
        auto got = (*stream)->receive(message, 5s);
        while (got && *got == Got::message) got = (*stream)->receive(message, 5s);
        return got ? std::string("nothing") : got.error().code;
    };
    request.slot = "physical";
    CHECK(code(request) == "slot_physical");
    request.slot = "missing";
    CHECK(code(request) == "slot_missing");
    must(drop_slot(*session(), "physical"));
    request = table.request();
    request.options[0].second = "99";
    CHECK(code(request) == "protocol_version");
    if (session()->server_version() < 180000) {  // a warning in the server's log from then on: find_publication()
        request = table.request();
        request.options[1].second = "nowhere";
        CHECK(code(request) == "publication_missing");
    }
    auto created = create_slot(*session(Channel::replication), {.name = "plugged", .plugin = "no_such_plugin"}, {});
    REQUIRE(!created);
    // Newer minor versions look at output_plugin_libraries first.
    bool known = created.error().code == "plugin_not_allowed" || created.error().code == "plugin_missing";
    CHECK_MESSAGE(known, created.error().text());
    auto replicator =
        must(Session::connect(table.at.options("postgres", "replicator"), "test", {}, Channel::replication));
    CHECK(must(create_slot(*replicator, {.name = "plugged", .temporary = true}, {})).consistent_point > Lsn(0));
    created = create_slot(*session(Channel::replication), {.name = "ways"}, {});
    REQUIRE(!created);
    CHECK(created.error().code == "slot_exists");
    created = create_slot(*session(Channel::replication), {.name = "Ways!"}, {});
    REQUIRE(!created);
    CHECK(created.error().code == "slot_name");
}

TEST_CASE("live: a server that shuts down has sent everything, and says so") {
    ThrowawayServer own;
    Captured table("down", own);
    table.insert(-20, -11);
    auto stream = table.stream();
    auto known = read_rows(*stream, 10).last_commit;
    // Of a reader that never confirmed anything the server only waits until it has received all.
    for (int tries = 0; tries < 100 && table.state().confirmed_flush_lsn != known; ++tries)
        std::this_thread::sleep_for(50ms);
    table.insert(1, 1000);
    table.creator.reset();
    own.shut(SIGINT);
    int64_t rows = 0;
    std::string code;
    ReplicationStream::Received message;
    for (auto end = std::chrono::steady_clock::now() + 30s; code.empty() && std::chrono::steady_clock::now() < end;) {
        auto got = stream->receive(message, 100ms);
        if (!got) {
            code = got.error().code;
        } else if (*got == Got::message) {
            rows += message.payload[0] == 'I';
            if (message.payload[0] == 'C') stream->confirm(known = message.end_lsn);
        } else {
            stream->confirm(known = stream->server_end());
        }
    }
    CHECK(code == "server_gone");
    CHECK(rows == 1000);
    own.stop(SIGINT);
    own.start();
    // Before 17 the slot may have forgotten the last confirmed position; what the target has decides.
    CHECK(table.state().confirmed_flush_lsn.value_or(0) <= known);
    stream = table.stream(known);
    ReplicationStream::Received again;
    CHECK(must(stream->receive(again, 300ms)) == Got::timeout);
    auto terminate = [&] {
        must(session(Channel::ordinary, own)
                 ->query(fmt::format("SELECT pg_terminate_backend({})", stream->server_pid())));
    };
    terminate();
    auto ended = stream->receive(again, 10s);
    REQUIRE(!ended);
    CHECK(ended.error().code == "server_gone");
    stream.reset();
    stream = table.stream(known);
    own.stop(SIGQUIT);
    ended = stream->receive(again, 10s);
    REQUIRE(!ended);
    CHECK(ended.error().kind == ErrorKind::unavailable);
}

TEST_CASE("live: statuses and data cross under TLS") {
    ThrowawayServer own("", true);
    Captured table("secret", own);
    table.insert(1, 50'000, "repeat('x', 500)");
    auto request = table.request();
    request.status_interval = 1ms;
    auto stream = must(ReplicationStream::start(own.options(), request, {}));
    std::atomic<bool> done = false;
    std::jthread confirming([&] {
        while (!done) stream->ask(), std::this_thread::sleep_for(100us);
    });
    auto seen = read_rows(*stream, 50'000);
    done = true;
    confirming.join();
    CHECK(seen.rows == 50'000);
    CHECK(seen.bytes > 25'000'000);
    must(stream->close());
    CHECK(table.state().confirmed_flush_lsn == seen.last_commit);
}

}  // namespace
}  // namespace penstock::postgres
