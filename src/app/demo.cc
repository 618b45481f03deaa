#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "app/commands.h"
#include "app/demo_folder.h"
#include "app/killed_run.h"
#include "app/output.h"
#include "app/sample_shop.h"
#include "app/terminal.h"
#include "app/throwaway_postgres.h"
#include "backup/key.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/humane.h"
#include "engine/database.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

/// A table on both sides, and what may be missing in the target because it was rejected.
struct Compared {
    std::string name;
    std::string (*fingerprint)(std::string_view table);
    std::string source;  ///< a table, or a query in parentheses with an alias
    int64_t rejected = 0;
    std::string schema = "shop";  ///< of the target
};

class Demo {
  public:
    Demo(const Session& session, ThrowawayPostgres& server, const DemoFolder& folder)
        : session_(session), server_(server), folder_(folder) {
        options_.file = folder.path() / "penstock.yaml";
        options_.quiet = session.options.quiet;
    }

    Status fill_shop() {
        PN_TRY(auto version, server_.version());
        PN_CHECK(say(fmt::format("a shop in a throwaway {}", version)));
        PN_CHECK(server_.execute(std::string(sample_shop::create())));
        std::ofstream(options_.file) << sample_shop::configuration(server_.connection_string());
        return print("  2,000 customers and 20,000 orders, with numeric, jsonb, text[] and timestamptz\n");
    }

    Status first_load() {
        PN_CHECK(say("the first run loads everything into DuckDB"));
        PN_CHECK(run_all());
        return compare({{"customers", sample_shop::fingerprint_customers, "public.customers"},
                        {"orders", sample_shop::fingerprint_orders, "public.orders"}});
    }

    Status increment() {
        PN_CHECK(say(
            "a day goes by: 50 customers and 300 orders are new, 200 orders are paid; the next run reads only those"));
        PN_CHECK(server_.execute(std::string(sample_shop::next_day())));
        PN_CHECK(run_all());
        return compare({{"customers", sample_shop::fingerprint_customers, "public.customers"},
                        {"orders", sample_shop::fingerprint_orders, "public.orders"}});
    }

    Status bad_row() {
        PN_CHECK(say("an order comes whose amount is 'NaN', which no decimal type holds: it is set aside, never bent"));
        PN_CHECK(server_.execute(std::string(sample_shop::bad_order())));
        PN_CHECK(run_all());
        PN_CHECK(print("$ penstock rejects list orders\n"));
        options_.names = {"orders"};
        PN_CHECK(must_end_well(command::rejects_list(session_for(options_)), "rejects list"));
        options_.names.clear();
        return compare({{"orders", sample_shop::fingerprint_orders,
                         "(SELECT * FROM public.orders WHERE amount <> 'NaN') AS good", 1}});
    }

    Status changes() {
        PN_CHECK(say("the customers again, this time by their changes: a snapshot, then what the server's log says"));
        std::ofstream(options_.file, std::ios::app) << sample_shop::capture();
        PN_CHECK(run_one("customers_live"));
        PN_CHECK(server_.execute(std::string(sample_shop::visitors())));
        PN_CHECK(print("  30 customers came, 100 were renamed, 11 are gone: deletes too arrive\n"));
        PN_CHECK(run_one("customers_live"));
        PN_CHECK(compare({{"customers", sample_shop::fingerprint_customers, "public.customers", 0, "live"}}));
        PN_CHECK(print("$ penstock slots list\n"));
        return must_end_well(command::slots_list(session_for(options_)), "slots list");
    }

    Status killed() {
        PN_CHECK(say("more of the same, and this time the run is killed (SIGKILL) right before it commits"));
        PN_CHECK(server_.execute(std::string(sample_shop::visitors())));
        PN_CHECK(print("$ PENSTOCK_FAILPOINT=target_commit_before=kill penstock run customers_live\n  killed\n"));
        PN_CHECK(run_killed(options_.file, "customers_live", Failpoint::target_commit_before));
        PN_CHECK(run_one("customers_live"));
        PN_CHECK(print("  nothing is lost and nothing is there twice\n"));
        return compare({{"customers", sample_shop::fingerprint_customers, "public.customers", 0, "live"}});
    }

    Status events() {
        PN_CHECK(
            say("1,000 events come as lines of JSON: each ends as a row of its kind or as a reject, and is kept as it "
                "came"));
        std::filesystem::create_directories(folder_.path() / "lines/in");
        std::ofstream(folder_.path() / "lines/in/events.ndjson") << sample_shop::event_lines();
        std::ofstream(folder_.path() / "clicks.sql") << sample_shop::clicks_table();
        std::ofstream(folder_.path() / "sales.sql") << sample_shop::sales_table();
        std::ofstream(options_.file, std::ios::app) << sample_shop::events();
        PN_CHECK(run_one("events"));
        PN_CHECK(print("$ penstock rejects list events\n"));
        options_.names = {"events"};
        PN_CHECK(must_end_well(command::rejects_list(session_for(options_)), "rejects list"));
        options_.names.clear();
        return count_events();
    }

    Status replayed() {
        PN_CHECK(say("somebody drops the table of clicks: the archive has them all, and knows what is there already"));
        PN_CHECK(in_warehouse("DROP TABLE web.clicks"));
        Options replay = options_;
        replay.names = {"events"};
        replay.from = iso_time(now() - std::chrono::days(1)).substr(0, std::string_view("2026-11-21").size());
        PN_CHECK(print(fmt::format("$ penstock replay events --from {}\n  ", replay.from)));
        PN_CHECK(must_end_well(command::replay(session_for(replay)), "replay"));
        return count_events();
    }

    Status verified() {
        PN_CHECK(say("somebody bends an amount in the warehouse by a cent: a comparison finds it, and puts it right"));
        PN_CHECK(in_warehouse("UPDATE shop.orders SET amount = amount + 0.01 WHERE id = 4711"));
        Options orders = options_;
        orders.names = {"orders"};
        PN_CHECK(print("$ penstock verify orders\n"));
        PN_CHECK(must_end_with(exit_code(ErrorKind::check_failed), command::verify(session_for(orders)), "verify"));
        orders.repair = true;
        PN_CHECK(print("$ penstock verify orders --repair\n"));
        return must_end_well(command::verify(session_for(orders)), "verify --repair");
    }

    Status recovered() {
        PN_CHECK(
            say("the whole server is backed up, encrypted; a drill restores it into a sandbox, proves that it is all "
                "there, and that the customers in the warehouse are its own at that place of the log"));
        fs::path key = folder_.path() / "backup.key";
        std::ofstream(key) << to_hex(backup::Key::random().bytes());
        fs::permissions(key, fs::perms::owner_read | fs::perms::owner_write);
        std::ofstream(options_.file, std::ios::app) << sample_shop::backups();
        Options shop = options_;
        shop.names = {"shop"};
        PN_CHECK(print("$ penstock backup run shop\n"));
        PN_CHECK(must_end_well(command::backup_run(session_for(shop)), "backup run"));
        PN_CHECK(server_.execute(std::string(sample_shop::visitors())));
        PN_CHECK(run_one("customers_live"));
        Options log = shop;
        log.drain = true;
        PN_CHECK(print("$ penstock backup wal shop --drain\n"));
        PN_CHECK(must_end_well(command::backup_wal(session_for(log)), "backup wal"));
        PN_CHECK(print("$ penstock backup drill shop\n"));
        return must_end_well(command::backup_drill(session_for(shop)), "backup drill");
    }

    Status farewell() {
        PN_CHECK(say("all counts agree. Three things to try next"));
        return print(
            "  penstock init --from postgres://you@host/database   a configuration for your own tables\n"
            "  penstock plan                                       what a run would do, before it does it\n"
            "  penstock types                                      how each column maps, and what could not be held\n");
    }

  private:
    Session session_for(const Options& options) const {
        return {.options = options, .log_format = session_.log_format, .stop = session_.stop};
    }

    Status say(std::string_view what) {
        return print(fmt::format("\n{}\n", paint_stdout(Colour::bold, fmt::format("{}. {}", ++step_, what))));
    }

    static Status must_end_well(Result<int> code, std::string_view command) {
        return must_end_with(0, std::move(code), command);
    }

    static Status must_end_with(int right, Result<int> code, std::string_view command) {
        if (!code) return fail(std::move(code.error()));
        if (*code == right) return {};
        if (*code == exit_code(ErrorKind::interrupted))
            return fail(demo_error(ErrorKind::interrupted, "interrupted",
                                   "the demonstration was stopped; its server and folders are gone",
                                   "start it again whenever you like"));
        return fail(demo_error(ErrorKind::internal, "demo_failed",
                               fmt::format("`penstock {}` of the demonstration failed", command),
                               "what it said stands above"));
    }

    Status run_one(const std::string& pipeline) {
        PN_CHECK(print(fmt::format("$ penstock run {}\n", pipeline)));
        Options one = options_;
        one.names = {pipeline};
        return must_end_well(command::run(session_for(one)), "run");
    }

    Status run_all() {
        PN_CHECK(print("$ penstock run --all\n"));
        Options all = options_;
        all.all = true;
        return must_end_well(command::run(session_for(all)), "run");
    }

    /// Asks both engines, so that the counts are not the program's own.
    Status compare(const std::vector<Compared>& tables) {
        PN_TRY(auto database, engine::Database::open(folder_.path() / "warehouse.duckdb", {.read_only = true}));
        PN_TRY(auto connection, database.connect());
        for (const auto& table : tables) {
            PN_TRY(auto source, server_.first_row(table.fingerprint(table.source)));
            PN_TRY(auto target, connection.query(table.fingerprint(table.schema + "." + table.name)));
            PN_TRY(auto total, server_.first_row("SELECT count(*) FROM public." + table.name));
            int64_t there = std::stoll(total.front()), here = std::stoll(target.text(0, 0));
            bool agree =
                there == here + table.rejected && source[0] == target.text(0, 0) && source[1] == target.text(0, 1);
            std::string rejected = table.rejected == 0 ? "" : fmt::format(" + {} rejected", table.rejected);
            PN_CHECK(
                print(fmt::format("  {} {}: {} in PostgreSQL, {} in DuckDB{}{}\n",
                                  agree ? paint_stdout(Colour::green, "=") : paint_stdout(Colour::red, "≠"), table.name,
                                  humane_count(there), humane_count(here), rejected, agree ? ", values alike" : "")));
            if (!agree)
                return fail(demo_error(ErrorKind::check_failed, "demo_counts_differ",
                                       fmt::format("{} differ between PostgreSQL and DuckDB", table.name),
                                       "this is a fault of penstock: please report it"));
        }
        return {};
    }

    Result<engine::Rows> in_warehouse(const std::string& sql) {
        PN_TRY(auto database, engine::Database::open(folder_.path() / "warehouse.duckdb", {}));
        PN_TRY(auto connection, database.connect());
        return connection.query(sql);
    }

    Status count_events() {
        PN_TRY(auto counts, in_warehouse("SELECT (SELECT count(DISTINCT visitor) FROM web.clicks), "
                                         "(SELECT count(DISTINCT visitor) FROM web.sales), "
                                         "(SELECT count(*) FROM penstock.rejects WHERE pipeline = 'events')"));
        auto clicks = counts.text(0, 0), sales = counts.text(0, 1), rejects = counts.text(0, 2);
        bool agree = clicks == "747" && sales == "248" && rejects == "5";
        PN_CHECK(print(fmt::format("  {} 1,000 lines: {} clicks, {} sales, {} rejected\n",
                                   agree ? paint_stdout(Colour::green, "=") : paint_stdout(Colour::red, "≠"), clicks,
                                   sales, rejects)));
        if (agree) return {};
        return fail(demo_error(ErrorKind::check_failed, "demo_counts_differ", "events were lost or came twice",
                               "this is a fault of penstock: please report it"));
    }

    const Session& session_;
    ThrowawayPostgres& server_;
    const DemoFolder& folder_;
    Options options_;
    int step_ = 0;
};

Status tour(const Session& session, const DemoFolder& folder) {
    PN_TRY(auto server, ThrowawayPostgres::start(session.stop));
    Demo demo(session, *server, folder);
    PN_CHECK(demo.fill_shop());
    PN_CHECK(demo.first_load());
    PN_CHECK(demo.increment());
    PN_CHECK(demo.bad_row());
    PN_CHECK(demo.changes());
    PN_CHECK(demo.killed());
    PN_CHECK(demo.events());
    PN_CHECK(demo.replayed());
    PN_CHECK(demo.verified());
    PN_CHECK(demo.recovered());
    return demo.farewell();
}

}  // namespace

Result<int> command::demo(const Session& session) {
    // What the tour shows is on standard output; the log would only be in its way.
    log::setup(session.log_format, session.options.log_level.value_or(log::Level::warning));
    PN_TRY(auto folder, DemoFolder::make(session.options.keep));
    PN_CHECK(tour(session, folder));
    if (!session.options.keep.empty())
        PN_CHECK(print(fmt::format("\nkept: {} (the server is gone)\n", session.options.keep)));
    return 0;
}

}  // namespace penstock::app
