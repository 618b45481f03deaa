#include "connect/duckdb/schema_change.h"

#include "connect/duckdb/ledger.h"
#include "connect/duckdb/test_load.h"
#include "connect/duckdb/widening.h"

namespace penstock::duckdb::test {
namespace {

using data::Kind;
using flow::Mode;
using flow::SchemaChange;

flow::TableTarget table(std::vector<data::Field> fields, SchemaChange policy = SchemaChange::evolve,
                        Mode mode = Mode::merge) {
    flow::TableTarget target{.name = "shop.t", .mode = mode, .schema_change = policy};
    target.info = {.name = "public.t", .schema = {std::move(fields)}};
    if (mode != Mode::append && mode != Mode::replace) target.key = {"id"};
    return target;
}

const data::Field id = field("id", Kind::int32, 1);

/// "column change decision; …"
std::string decided(const flow::TablePlan& plan) {
    std::string text;
    for (const auto& decision : plan.decisions)
        text +=
            fmt::format("{}{} {} {}", text.empty() ? "" : "; ", decision.column, decision.change, decision.decision);
    return text;
}

std::string columns(Warehouse& warehouse) {
    return warehouse.line(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 't' ORDER BY column_index");
}

TEST_CASE("an added column is NULL, or what the source's own old rows have") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id}), {{"1"}, {"2"}}));
    auto priority = field("priority", Kind::int16, 3);
    priority.initial = "7";
    REQUIRE(warehouse.run(table({id, field("note", Kind::text, 2), priority}), {{"2", "n", "1"}}));
    CHECK(decided(warehouse.plan) == "note column_added applied; priority column_added applied");
    CHECK(warehouse.line("SELECT id, note, priority FROM shop.t ORDER BY id") == "1,NULL,7 2,n,1");
    CHECK(warehouse.line("SELECT version, \"column\", decision FROM penstock.schema_registry ORDER BY ALL") ==
          "1,NULL,applied 2,note,applied 2,priority,applied");
    warehouse.execute("INSERT INTO shop.t (id) VALUES (9)");
    CHECK(warehouse.line("SELECT priority FROM shop.t WHERE id = 9") == "NULL");
}

TEST_CASE("a dropped column stays and is NULL in new rows; it is said once") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("note", Kind::text, 2)}), {{"1", "a"}, {"2", "b"}}));
    REQUIRE(warehouse.run(table({id}), {{"3"}}));
    CHECK(decided(warehouse.plan) == "note column_dropped kept_as_null");
    REQUIRE(warehouse.run(table({id}), {{"4"}}));
    CHECK(decided(warehouse.plan).empty());
    CHECK(warehouse.line("SELECT id, note FROM shop.t ORDER BY id") == "1,a 2,b 3,NULL 4,NULL");
}

TEST_CASE("a renamed column is recognised by its number, and order does not matter") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("status", Kind::text, 2), field("n", Kind::int32, 3)}), {{"1", "a", "10"}}));
    REQUIRE(warehouse.run(table({field("n", Kind::int32, 3), field("state", Kind::text, 2), id}), {{"20", "b", "2"}}));
    CHECK(decided(warehouse.plan) == "state column_renamed applied");
    CHECK(warehouse.line("SELECT id, state, n FROM shop.t ORDER BY id") == "1,a,10 2,b,20");
    // The same numbers under other names after the source table was made anew are no rename of what is still there.
    REQUIRE(
        warehouse.run(table({field("state", Kind::text, 1), field("id", Kind::int32, 2), field("n", Kind::int32, 3)}),
                      {{"c", "3", "30"}}));
    CHECK(decided(warehouse.plan).empty());
    CHECK(warehouse.line("SELECT id, state, n FROM shop.t ORDER BY id") == "1,a,10 2,b,20 3,c,30");
}

TEST_CASE("wider types widen the target, narrower ones fit in") {
    Warehouse warehouse;
    auto narrow = table({id,
                         field("n", Kind::int16, 2),
                         {.name = "d", .type = data::decimal(6, 2), .source_id = 3},
                         field("r", Kind::float32, 4)});
    REQUIRE(warehouse.run(narrow, {{"1", "1", "125", "1.5"}}));
    auto wide = table({id,
                       field("n", Kind::int64, 2),
                       {.name = "d", .type = data::decimal(12, 4), .source_id = 3},
                       field("r", Kind::float64, 4)});
    REQUIRE(warehouse.run(wide, {{"2", "9007199254740993", "123456781234", "0.1"}}));
    CHECK(decided(warehouse.plan) == "n type_widened applied; d type_widened applied; r type_widened applied");
    CHECK(columns(warehouse) == "id,INTEGER n,BIGINT d,DECIMAL(12,4) r,DOUBLE");
    REQUIRE(warehouse.run(narrow, {{"3", "3", "300", "2.5"}}));
    CHECK(decided(warehouse.plan).empty());
    CHECK(warehouse.line("SELECT id, n, d::VARCHAR, r::VARCHAR FROM shop.t ORDER BY id") ==
          "1,1,1.2500,1.5 2,9007199254740993,12345678.1234,0.1 3,3,3.0000,2.5");
}

TEST_CASE("an incompatible type gets a column of its own, once for each type") {
    Warehouse warehouse;
    auto as_text = table({id, field("v", Kind::text, 2)}), as_number = table({id, field("v", Kind::int32, 2)});
    REQUIRE(warehouse.run(as_text, {{"1", "ten"}}));
    REQUIRE(warehouse.run(as_number, {{"2", "20"}}));
    CHECK(decided(warehouse.plan) == "v type_changed new_column");
    REQUIRE(warehouse.run(as_number, {{"3", "30"}}));
    CHECK(decided(warehouse.plan).empty());
    REQUIRE(warehouse.run(table({id, field("v", Kind::boolean, 2)}), {{"4", "true"}}));
    REQUIRE(warehouse.run(as_text, {{"5", "five"}}));
    CHECK(columns(warehouse) == "id,INTEGER v,VARCHAR v__v2,INTEGER v__v3,BOOLEAN");
    CHECK(warehouse.line("SELECT id, v, v__v2, v__v3 FROM shop.t ORDER BY id") ==
          "1,ten,NULL,NULL 2,NULL,20,NULL 3,NULL,30,NULL 4,NULL,NULL,true 5,five,NULL,NULL");
}

TEST_CASE("freeze leaves new columns out, said once, and stops at the rest") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("v", Kind::int32, 2)}), {{"1", "10"}}));
    auto frozen = [&](std::vector<data::Field> fields) { return table(std::move(fields), SchemaChange::freeze); };
    REQUIRE(warehouse.run(frozen({id, field("v", Kind::int32, 2), field("extra", Kind::text, 3)}), {{"2", "20", "x"}}));
    CHECK(decided(warehouse.plan) == "extra column_added ignored");
    REQUIRE(warehouse.run(frozen({id, field("v", Kind::int32, 2), field("extra", Kind::text, 3)}), {{"3", "30", "y"}}));
    CHECK(decided(warehouse.plan).empty());
    CHECK(columns(warehouse) == "id,INTEGER v,INTEGER");
    CHECK(warehouse.line("SELECT * FROM shop.t ORDER BY id") == "1,10 2,20 3,30");
    REQUIRE(warehouse.run(frozen({id}), {{"4"}}));
    CHECK(warehouse.line("SELECT v FROM shop.t WHERE id = 4") == "NULL");
    auto wider = warehouse.run(frozen({id, field("v", Kind::int64, 2)}), {{"5", "50"}});
    REQUIRE_FALSE(wider);
    CHECK(wider.error().kind == ErrorKind::schema);
    CHECK(wider.error().message.find("column v of public.t") != std::string::npos);
}

TEST_CASE("a frozen table that is rebuilt keeps its shape") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("v", Kind::int32, 2)}, SchemaChange::evolve, Mode::replace), {{"1", "10"}}));
    REQUIRE(
        warehouse.run(table({id, field("extra", Kind::text, 3)}, SchemaChange::freeze, Mode::replace), {{"2", "x"}}));
    CHECK(columns(warehouse) == "id,INTEGER v,INTEGER");
    CHECK(warehouse.line("SELECT id, v FROM shop.t") == "2,NULL");
}

TEST_CASE("reject stops at any difference and leaves everything as it was") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("v", Kind::int32, 2)}), {{"1", "10"}}));
    for (const auto& fields :
         std::vector<std::vector<data::Field>>{{id, field("v", Kind::int32, 2), field("w", Kind::text, 3)},
                                               {id},
                                               {id, field("v", Kind::int64, 2)},
                                               {id, field("x", Kind::int32, 2)}}) {
        Row row(fields.size(), "2");
        auto result = warehouse.run(table(fields, SchemaChange::reject), {row});
        REQUIRE_FALSE(result);
        CHECK(result.error().code == "schema_change_refused");
        CHECK(decided(warehouse.plan).find("refused") != std::string::npos);
    }
    CHECK(warehouse.line("SELECT * FROM shop.t") == "1,10");
    CHECK(warehouse.line("SELECT max(version) FROM penstock.schema_registry") == "1");
}

TEST_CASE("replace takes the source's shape and says what changed by it") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({id, field("v", Kind::int32, 2)}, SchemaChange::evolve, Mode::replace), {{"1", "10"}}));
    REQUIRE(warehouse.run(
        table({id, field("v", Kind::text, 2), field("w", Kind::text, 3)}, SchemaChange::evolve, Mode::replace),
        {{"1", "a", "b"}}));
    CHECK(decided(warehouse.plan) == "v type_changed applied; w column_added applied");
    CHECK(columns(warehouse) == "id,INTEGER v,VARCHAR w,VARCHAR");
}

TEST_CASE("a table that was there before is matched by name and refused where it does not fit") {
    Warehouse warehouse;
    warehouse.execute("CREATE SCHEMA shop; CREATE TABLE shop.t (mine INTEGER DEFAULT 5, ID BIGINT, v HUGEINT)");
    auto refused = warehouse.run(table({id, field("v", Kind::int32, 2)}), {{"1", "10"}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("HUGEINT") != std::string::npos);
    warehouse.execute("ALTER TABLE shop.t ALTER v TYPE DECIMAL(20,2)");
    CHECK(counted(warehouse.run(table({id, field("v", Kind::int32, 2)}), {{"1", "10"}})) ==
          "read 1 written 1 rejected 0 filtered 0");
    CHECK(decided(warehouse.plan) == " table_adopted applied");
    CHECK(warehouse.line("SELECT id, v::VARCHAR, mine FROM shop.t") == "1,10.00,5");
}

TEST_CASE("columns that DuckDB cannot tell apart are refused before anything is written") {
    Warehouse warehouse;
    auto collided = warehouse.run(table({id, field("Name", Kind::text, 2), field("name", Kind::text, 3)}), {});
    REQUIRE_FALSE(collided);
    CHECK(collided.error().code == "column_names_collide");
    CHECK_FALSE(std::filesystem::exists(warehouse.file));
}

data::Field of(const char* relation, data::Field field) {
    field.source_relation = relation;
    return field;
}

TEST_CASE("a name that another column took over is that column's, the old values are kept aside") {
    Warehouse warehouse;
    auto in = [](std::vector<data::Field> fields, SchemaChange policy = SchemaChange::evolve) {
        for (auto& field : fields) field.source_relation = "1";
        return table(std::move(fields), policy);
    };
    auto a = field("a", Kind::text, 2), b = field("b", Kind::text, 3);
    REQUIRE(warehouse.run(in({id, a, b}), {{"1", "a", "b"}, {"2", "a", "b"}}));
    auto taken = in({id, field("a", Kind::text, 3)});
    for (auto policy : {SchemaChange::freeze, SchemaChange::reject})
        CHECK(warehouse.run(in({id, field("a", Kind::text, 3)}, policy), {{"2", "new"}})
                  .error()
                  .message.find("column_replaced") != std::string::npos);
    REQUIRE(warehouse.run(taken, {{"2", "new"}}));
    CHECK(decided(warehouse.plan) == "a__dropped column_replaced applied; a column_renamed applied");
    CHECK(warehouse.line("SELECT id, a, a__dropped FROM shop.t ORDER BY id") == "1,b,a 2,new,a");
    REQUIRE(warehouse.run(taken, {{"2", "newer"}}));
    CHECK(decided(warehouse.plan).empty());
    // Gone for a while, it is not the same column when it comes back.
    REQUIRE(warehouse.run(in({id}), {{"3"}}));
    REQUIRE(warehouse.run(in({id, field("a", Kind::text, 4)}), {{"3", "again"}}));
    CHECK(warehouse.line("SELECT id, a, a__dropped, a__dropped2 FROM shop.t ORDER BY id") ==
          "1,NULL,a,b 2,NULL,a,newer 3,again,NULL,NULL");
}

TEST_CASE("names that were swapped are swapped") {
    Warehouse warehouse;
    REQUIRE(warehouse.run(table({of("1", id), of("1", field("a", Kind::text, 2)), of("1", field("b", Kind::text, 3))}),
                          {{"1", "a", "b"}}));
    REQUIRE(warehouse.run(table({of("1", id), of("1", field("b", Kind::text, 2)), of("1", field("a", Kind::text, 3))}),
                          {{"2", "b", "a"}}));
    CHECK(warehouse.line("SELECT id, a, b FROM shop.t ORDER BY id") == "1,b,a 2,a,b");
}

TEST_CASE("another relation's numbers mean nothing; its new columns have to be read") {
    Warehouse warehouse;
    auto cursor = [](flow::TableTarget target) {
        target.info.cursor = "id";
        return target;
    };
    REQUIRE(warehouse.run(cursor(table({of("1", id), of("1", field("a", Kind::text, 2))})), {{"1", "a"}}));
    REQUIRE(warehouse.run(cursor(table({of("2", field("a", Kind::text, 1)), of("2", field("id", Kind::int32, 2))})),
                          {{"b", "2"}}));
    CHECK(decided(warehouse.plan) == " source_identified applied");
    CHECK_FALSE(warehouse.plan.reads_everything);
    REQUIRE(warehouse.run(
        cursor(table({of("3", id), of("3", field("a", Kind::text, 2)), of("3", field("n", Kind::int32, 3))})),
        {{"1", "a", "5"}}));
    CHECK(warehouse.plan.reads_everything);
    CHECK(warehouse.line("SELECT id, a, n FROM shop.t ORDER BY id") == "1,a,5 2,b,NULL");
}

TEST_CASE("a table fed from two sources remembers each") {
    Warehouse warehouse;
    auto a = field("a", Kind::text, 2), n = field("n", Kind::int32, 3), m = field("n", Kind::int32, 9);
    n.initial = m.initial = "7";
    auto first = table({of("1", id), of("1", a)}), second = table({of("2", id), of("2", a)});
    first.info.cursor = second.info.cursor = "id";
    REQUIRE(warehouse.run(first, {{"1", "x"}}));
    REQUIRE(warehouse.run(second, {{"2", "y"}}));
    first.info.schema.fields.push_back(of("1", n));
    REQUIRE(warehouse.run(first, {{"3", "x", "3"}}));
    CHECK_FALSE(warehouse.plan.reads_everything);
    REQUIRE(warehouse.run(second, {{"2", "z"}}));
    CHECK(decided(warehouse.plan).empty());
    second.info.schema.fields.push_back(of("2", m));
    REQUIRE(warehouse.run(second, {{"2", "y", "8"}}));
    CHECK(warehouse.plan.reads_everything);  // the column is there, its values of the second source are not
    CHECK(warehouse.line("SELECT id, a, n FROM shop.t ORDER BY id") == "1,x,7 2,y,8 3,x,3");
    REQUIRE(warehouse.run(first, {{"1", "x", "1"}}));
    CHECK(decided(warehouse.plan).empty());
}

TEST_CASE("values that only the source's rows tell are read again, or the run ends") {
    Warehouse warehouse;
    auto unknown = field("n", Kind::int32, 2);
    unknown.initial_unknown = true;
    for (auto mode : {Mode::merge, Mode::append}) {
        auto before = table({id}, SchemaChange::evolve, mode), after = table({id, unknown}, SchemaChange::evolve, mode);
        before.info.cursor = after.info.cursor = "id";
        before.name = after.name = mode == Mode::merge ? "shop.t" : "shop.appended";
        REQUIRE(warehouse.run(before, {{"1"}, {"2"}}));
        auto ran = warehouse.run(after, {{"1", "10"}, {"2", "20"}});
        CHECK(ran.has_value() == (mode == Mode::merge));
        CHECK(warehouse.plan.reads_everything == (mode == Mode::merge));
        if (!ran) CHECK(ran.error().hint.find("--full-refresh") != std::string::npos);
    }
    CHECK(warehouse.line("SELECT id, n FROM shop.t ORDER BY id") == "1,10 2,20");
    auto guarded = table({id, unknown, field("m", Kind::int32, 3)});
    guarded.info.schema.fields.back().initial_unknown = true;
    guarded.update_when = "S.id > T.id";
    CHECK_FALSE(warehouse.run(guarded, {{"1", "10", "1"}}));
}

TEST_CASE("append after an added column still recognises rows of before") {
    Warehouse warehouse;
    auto before = table({id, field("u", Kind::int64, 2)}, SchemaChange::evolve, Mode::append);
    before.info.cursor = "u";
    REQUIRE(warehouse.run(before, {{"1", "10"}, {"2", "20"}}));
    auto after = before;
    after.info.schema.fields.push_back(field("extra", Kind::text, 3));
    CHECK(counted(warehouse.run(after, {{"2", "20", "x"}, {"3", "30", "y"}})) ==
          "read 2 written 1 rejected 0 filtered 1");
}

TEST_CASE("the ledger tells rejects, checkpoints and schema history, and marks rejects") {
    Warehouse warehouse;
    Ledger absent(warehouse.file);
    CHECK(absent.rejects({})->empty());
    CHECK(absent.checkpoints("")->empty());
    CHECK_FALSE(std::filesystem::exists(warehouse.file));
    REQUIRE(warehouse.run(table({id}), {{"1"}, {null}, {null}},
                          {.cursor_to = "7", .read_at = TimePoint(std::chrono::seconds(5))}));
    REQUIRE(warehouse.run(table({id, field("v", Kind::text, 2)}), {{"2", "x"}}, {.cursor_to = "8"}));
    Ledger ledger(warehouse.file);
    auto rejects = *ledger.rejects({.pipeline = "p"});
    REQUIRE(rejects.size() == 2);
    CHECK(rejects[0].id == "1");
    CHECK(rejects[0].reject.code == "null_key");
    CHECK(rejects[0].open());
    TimePoint at(std::chrono::microseconds(99));
    CHECK(*ledger.resolve({.ids = {"2"}}, flow::Resolution::discarded, at) == 1);
    CHECK(*ledger.resolve({.table = "public.t"}, flow::Resolution::replayed, at) == 1);
    CHECK(*ledger.resolve({}, flow::Resolution::replayed, at) == 0);
    rejects = *ledger.rejects({});
    CHECK(rejects[0].replayed_at == at);
    CHECK(rejects[1].discarded_at == at);
    CHECK(ledger.rejects({.open_only = true})->empty());
    auto checkpoints = *ledger.checkpoints("p");
    REQUIRE(checkpoints.size() == 1);
    CHECK(checkpoints[0].batch == 2);
    CHECK(checkpoints[0].checkpoint.cursor_to == "8");
    auto history = *ledger.schema_history("shop.t");
    REQUIRE(history.size() == 2);
    CHECK(history[1].change == "column_added");
    CHECK(data::schema_from_json(history[1].columns)->fields.size() == 2);
    CHECK(ledger.schema_history("other")->empty());
}

TEST_CASE("what holds what") {
    auto scalar = [](Kind kind) { return data::scalar(kind); };
    CHECK(holds(scalar(Kind::int64), scalar(Kind::uint32)));
    CHECK(holds(data::decimal(20, 0), scalar(Kind::uint64)));
    CHECK_FALSE(holds(data::decimal(20, 1), scalar(Kind::uint64)));
    CHECK(holds(data::decimal(12, 4), data::decimal(6, 2)));
    CHECK_FALSE(holds(data::decimal(6, 4), data::decimal(6, 2)));
    CHECK_FALSE(holds(scalar(Kind::float64), scalar(Kind::int64)));
    CHECK_FALSE(holds(scalar(Kind::text), scalar(Kind::int32)));
    CHECK_FALSE(holds(scalar(Kind::timestamptz), scalar(Kind::timestamp)));
    CHECK(holds(data::list_of(scalar(Kind::int64)), data::list_of(scalar(Kind::int32))));
    CHECK_FALSE(holds(data::structure_of({field("a", Kind::text)}), data::structure_of({field("b", Kind::text)})));
}

}  // namespace
}  // namespace penstock::duckdb::test
