#include "config/document.h"

#include <doctest/doctest.h>

#include "config/sample_catalog.h"

namespace penstock::config {
namespace {

Result<Document> document(const std::string& yaml) {
    return load_document_text(yaml, "etc/penstock.yaml", sample_catalog(), sample_surroundings());
}

const std::string connections = "connections: {shop: {type: sea, url: 'sea://shop'}, wh: {type: land}}\n";

/// A pipeline on one line, from table `name` of shop to table `name` of wh.
std::string pipeline(const std::string& name, const std::string& more = "") {
    return "  " + name + ": {source: {connection: shop, table: " + name + "}, target: {connection: wh, table: " + name +
           "}" + more + "}\n";
}

TEST_CASE("a document is read whole") {
    auto made = document(R"(version: 1
state: sqlite:there.db
connections:
  shop: {type: sea, url: "sea://x:${TOKEN}@h/db"}
  wh: {type: land}
defaults: {memory: 1GiB, retries: {delay: 9s}}
pipelines:
  orders:
    source: {connection: shop, table: public.orders, cursor: updated_at}
    target: {connection: wh, table: orders, mode: merge, key: id}
    retries: {max: 1}
    schedule: "*/12 * * * *"
    timezone: Europe/Vienna
    catchup: one
    after: customers
  customers:
    source: {connection: shop, tables: public.*}
    target: {connection: wh, dataset: shop}
)");
    REQUIRE_MESSAGE(made, (made ? "" : made.error().text()));
    CHECK(made->file == "etc/penstock.yaml");
    CHECK(made->directory == "etc");
    CHECK(made->state.reveal() == "sqlite:there.db");
    CHECK(made->connection("shop")->type == "sea");
    CHECK(made->connection("nowhere") == nullptr);
    const PipelineConfig& orders = *made->pipeline("orders");
    CHECK(orders.place.text() == "etc/penstock.yaml:8:3");
    CHECK(orders.source_connection == "shop");
    CHECK(orders.target_connection == "wh");
    CHECK(orders.memory.count == 1u << 30);
    CHECK(orders.retries.max == 1);
    CHECK(orders.retries.delay == std::chrono::seconds(9));
    CHECK(orders.schedule.value == "*/12 * * * *");
    CHECK(orders.catchup == Catchup::one);
    CHECK(made->run_order() == std::vector<std::string>{"customers", "orders"});

    auto target = table_target_spec().parse(orders.target);
    REQUIRE(target);
    CHECK(target->mode_for(true) == WriteMode::merge);
    CHECK(target->key.at(0).value == "id");
    CHECK(target->key.at(0).place.text() == "etc/penstock.yaml:10:63");
}

TEST_CASE("sections may be absent or empty") {
    CHECK(document("version: 1\n"));
    CHECK(document("version: 1\nconnections:\npipelines:\n"));
    CHECK(document("{}")->state.reveal() == "sqlite:.penstock/state.db");
}

TEST_CASE("the mode that holds where none is given") {
    TargetOptions target;
    CHECK(target.mode_for(false) == WriteMode::replace);
    CHECK(target.mode_for(true) == WriteMode::append);
    target.key.push_back({"id", {}});
    CHECK(target.mode_for(true) == WriteMode::merge);
    target.mode = WriteMode::history;
    CHECK(target.mode_for(false) == WriteMode::history);
}

TEST_CASE("mistakes of a document are told exactly") {
    struct Case {
        std::string yaml, error;
    };
    const std::string p = "pipelines:\n";
    for (
        const Case& one : std::vector<Case>{
            {"", "error: the configuration is empty\n  hint: write one with 'penstock init'"},
            {"version: 2", "error: version: '2' is not supported; write 1\n  at: etc/penstock.yaml:1:10"},
            {"pipeline: {}", "error: unknown key 'pipeline'; did you mean 'pipelines'?\n  at: etc/penstock.yaml:1:1"},
            {"backups: {b: {connection: x, store: {connection: x, path: p, encrypt: k}, logical: {}}}",
             "error: backups.b: 'logical' is not available in this version\n  at: etc/penstock.yaml:1:75\n  hint: "
             "logical backups are planned; pg_dump makes them"},
            {"connections: [a]", "error: connections: expected a map, found a list\n  at: etc/penstock.yaml:1:14"},
            {"connections: {a b: {type: land}}",
             "error: connections.a b: 'a b' is not a name\n  at: etc/penstock.yaml:1:15\n  hint: use letters, digits, "
             "'_' and '-', at most 63 of them, a letter or digit first"},
            {"connections: {x: }", "error: connections.x: expected a map, found nothing\n  at: etc/penstock.yaml:1:18"},
            {"connections: {x: {}}",
             "error: connections.x: the key 'type' is missing\n  at: etc/penstock.yaml:1:18\n  hint: types: sea, land"},
            {"connections: {x: {type: lend}}",
             "error: connections.x.type: 'lend' is not a connection type of this version; did you mean 'land'? (sea, "
             "land)\n  at: etc/penstock.yaml:1:25"},
            {"connections: {x: {type: kafka}}",
             "error: connections.x.type: 'kafka' is not a connection type of this version (sea, land)\n  at: "
             "etc/penstock.yaml:1:25"},
            {"connections: {x: {type: land, pth: a}}",
             "error: connections.x: unknown key 'pth'\n  at: etc/penstock.yaml:1:31\n  hint: known keys: type"},
            {"connections: {x: {type: sea}}",
             "error: connections.x: the key 'url' is missing\n  at: etc/penstock.yaml:1:18\n  hint: Where the sea is."},
            {"connections: {x: {type: sea, url: \"${UNSET}\"}}",
             "error: connections.x.url: the environment variable 'UNSET' is not set\n  at: etc/penstock.yaml:1:35\n  "
             "hint: set it (export UNSET=…), or give a default: ${UNSET:-…}"},
            {connections + p + "  a: {target: {connection: wh, table: a}}",
             "error: pipelines.a: give one of 'source', 'command', 'dbt'\n  at: etc/penstock.yaml:3:6"},
            {connections + p + "  a: {source: {table: a}, target: {connection: wh, table: a}}",
             "error: pipelines.a.source: the key 'connection' is missing\n  at: etc/penstock.yaml:3:15\n  hint: "
             "connections: shop, wh"},
            {connections + p + "  a: {source: {connection: shpo, table: a}, target: {connection: wh, table: a}}",
             "error: pipelines.a.source.connection: there is no connection 'shpo'; did you mean 'shop'?\n  at: "
             "etc/penstock.yaml:3:28\n  hint: connections: shop, wh"},
            {connections + p + "  a: {source: {connection: wh}, target: {connection: wh, table: a}}",
             "error: pipelines.a.source.connection: connection 'wh' cannot be a source: its type is 'land'\n  at: "
             "etc/penstock.yaml:3:28\n  hint: types that can be a source: sea"},
            {connections + p + "  a: {source: {connection: shop, table: a}, target: {connection: shop, table: a}}",
             "error: pipelines.a.target.connection: connection 'shop' cannot be a target: its type is 'sea'\n  at: "
             "etc/penstock.yaml:3:66\n  hint: types that can be a target: land"},
            {connections + p + "  a: {source: {connection: shop}, target: {connection: wh, table: a}}",
             "error: pipelines.a.source: give one of 'table', 'tables'\n  at: etc/penstock.yaml:3:15"},
            {connections + p +
                 "  a: {source: {connection: shop, table: a, changes: {}}, target: {connection: wh, table: a}}",
             "error: pipelines.a.source: 'changes' is not available in this version\n  at: etc/penstock.yaml:3:44\n  "
             "hint: change data capture is planned"},
            {connections + p +
                 "  a: {source: {connection: shop, table: a}, target: {connection: wh, table: a, mode: mergee}}",
             "error: pipelines.a.target.mode: 'mergee' is not a mode; did you mean 'merge'? (append, replace, merge, "
             "history)\n  at: etc/penstock.yaml:3:86"},
            {connections + p +
                 "  a: {source: {connection: shop, table: a}, target: {connection: wh, table: a, mode: append, "
                 "update_when: x}}",
             "error: pipelines.a.target: 'update_when' has no effect in mode 'append'\n  at: etc/penstock.yaml:3:107\n "
             " hint: it says which rows a merge updates: write mode: merge, or remove it"},
            {connections + p + pipeline("a", ", schedule: daily"),
             "error: pipelines.a: the schedule is not a cron expression of five fields\n  at: etc/penstock.yaml:3:91\n "
             " hint: minute hour day-of-month month day-of-week, such as \"*/15 * * * *\" or \"0 2 * * 0\"; or @daily, "
             "or @every 10m"},
            {connections + p + pipeline("a", ", timezone: UTC"),
             "error: pipelines.a: 'timezone' needs 'schedule' too\n  at: etc/penstock.yaml:3:81"},
            {connections + p + pipeline("a", ", after: bb") + pipeline("b"),
             "error: pipelines.a.after: there is no pipeline 'bb'; did you mean 'b'?\n  at: etc/penstock.yaml:3:88\n  "
             "hint: pipelines: a, b"},
            {connections + p + pipeline("a", ", after: a"),
             "error: pipelines.a.after: pipelines wait for each other in a circle: a -> a\n  at: "
             "etc/penstock.yaml:3:88\n  hint: remove one 'after' of the circle"},
            {connections + p + pipeline("a", ", after: b") + pipeline("b", ", after: [c]") +
                 pipeline("c", ", after: [d, b]") + pipeline("d"),
             "error: pipelines.c.after: pipelines wait for each other in a circle: b -> c -> b\n  at: "
             "etc/penstock.yaml:5:92\n  hint: remove one 'after' of the circle"},
            {connections + p + pipeline("a") +
                 "  b: {source: {connection: shop, table: x}, target: {connection: wh, table: a}}",
             "error: pipelines.b.target: writes to table 'a' of connection 'wh', which pipeline 'a' writes too\n  at: "
             "etc/penstock.yaml:4:77\n  hint: the other stands at etc/penstock.yaml:3:77; give one of them another "
             "destination"},
            {connections + p +
                 "  a: {source: {connection: shop, table: x}, target: {connection: wh}}\n  b: {source: {connection: "
                 "shop, table: x}, target: {connection: wh}}",
             "error: pipelines.b.target: writes to the tables of x in connection 'wh', which pipeline 'a' writes too\n "
             " at: etc/penstock.yaml:4:53\n  hint: the other stands at etc/penstock.yaml:3:53; give one of them "
             "another destination"}}) {
        CAPTURE(one.yaml);
        auto made = document(one.yaml);
        REQUIRE_FALSE(made);
        CHECK(exit_code(made.error().kind) == 2);
        CHECK(made.error().text() == one.error);
    }
}

TEST_CASE("two names of one system are one system") {
    auto made = document(
        "connections: {shop: {type: sea, url: 'sea://shop'}, wh: {type: land}, wh2: {type: land}}\npipelines:\n" +
        pipeline("a") + "  b: {source: {connection: shop, table: x}, target: {connection: wh2, table: a}}");
    REQUIRE_FALSE(made);
    CHECK(made.error().code == "target_written_twice");
}

TEST_CASE("a name on the command line that the file has not") {
    auto made = document(connections + "pipelines:\n" + pipeline("events") + pipeline("orders"));
    REQUIRE(made);
    CHECK(no_such_pipeline(*made, "event").text() ==
          "error: there is no pipeline 'event' in etc/penstock.yaml; did you mean 'events'?\n  hint: pipelines: "
          "events, orders");
    CHECK(no_such_connection(*made, "bus").text() ==
          "error: there is no connection 'bus' in etc/penstock.yaml\n  hint: connections: shop, wh");
    CHECK(exit_code(no_such_pipeline(*made, "x").kind) == 2);
}

}  // namespace
}  // namespace penstock::config
