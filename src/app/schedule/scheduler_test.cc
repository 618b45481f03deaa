#include "app/schedule/scheduler.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <memory>
#include <random>

#include "state/test_folder.h"

namespace penstock::app {
namespace {

using namespace std::chrono;
using schedule::Interval;
using schedule::IntervalState;

/// Where no disk is waited for: a history is thousands of transactions.
const int in_memory = ::setenv("TMPDIR", std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp", 0);

/// Processes that do not exist, on a clock that goes as it is told.
struct World {
    state::Folder folder;
    TimePoint now{sys_days(2026y / March / 28) + hours(20)};
    std::set<int64_t> alive;
    int64_t last_pid = 0;

    int64_t born() { return *alive.insert(++last_pid).first; }
    state::Life life(int64_t pid, const std::string& machine) {
        return {.clock = [this] { return now; },
                // Of another machine nobody knows that a process is gone before its lease is over.
                .is_alive =
                    [this, machine](const state::LockHolder& holder) {
                        return alive.contains(holder.process.pid) ||
                               (holder.process.machine != machine && now < holder.lease_until);
                    },
                .self = {.pid = pid, .started = pid, .host = machine, .machine = machine}};
    }
    state::Intervals intervals(int64_t pid, const std::string& machine) {
        auto opened = state::Intervals::open(state::url, folder.path, life(pid, machine));
        REQUIRE_MESSAGE(opened, opened.error().text());
        return std::move(*opened);
    }
};

/// What `penstock run --interval` does, in steps between which it can be killed.
class Child {
  public:
    Child(World& world, std::string machine, std::string token)
        : world_(world),
          machine_(std::move(machine)),
          token_(std::move(token)),
          pid_(world.born()),
          intervals_(world.intervals(pid_, machine_)) {}

    const std::string& token() const { return token_; }
    bool lives() const { return world_.alive.contains(pid_); }
    bool works() const { return lives() && step_ > 0; }
    std::string pipeline() const { return interval_.pipeline; }
    void die(std::string how) {
        world_.alive.erase(pid_);
        how_ = std::move(how);
    }
    const std::string& how() const { return how_; }

    void step() {
        switch (step_++) {
            case 0: {
                auto begun = intervals_.begin(token_);
                if (!begun) return die("exit code 1");
                interval_ = begun->interval;
                return;
            }
            case 1: return commit();
            default: REQUIRE(intervals_.end(token_, IntervalState::succeeded, "")); return die("exit code 0");
        }
    }

  private:
    void commit() {
        auto store = world_.folder.store();
        store.set_cause({interval_.origin, interval_.start, interval_.end, token_});
        flow::RunResult result;
        result.identity = {.pipeline = interval_.pipeline, .run_id = token_};
        result.started_at = world_.now;
        REQUIRE(store.end_run(result));
    }

    World& world_;
    std::string machine_, token_, how_;
    int64_t pid_;
    state::Intervals intervals_;
    Interval interval_;
    int step_ = 0;
};

using Children = std::vector<std::shared_ptr<Child>>;

class Server : public Runs {
  public:
    Server(World& world, std::string machine, Children& all, const Scheduler::Settings& settings,
           std::vector<ScheduleEvent>& events)
        : world_(world),
          machine_(std::move(machine)),
          all_(all),
          pid_(world.born()),
          scheduler_(
              settings, world.intervals(pid_, machine_), *this, [](const Interval&) { return true; },
              [&events](const ScheduleEvent& event) { events.push_back(event); }) {}

    size_t room() const override { return 2 - std::min<size_t>(2, mine_.size()); }
    Status start(const Interval&, const std::string& token) override {
        mine_.push_back(std::make_shared<Child>(world_, machine_, token));
        all_.push_back(mine_.back());
        return {};
    }
    std::vector<Ended> ended() override {
        std::vector<Ended> found;
        for (const auto& child : mine_)
            if (!child->lives()) found.push_back({child->token(), child->how()});
        std::erase_if(mine_, [](const auto& child) { return !child->lives(); });
        return found;
    }
    std::set<std::string> tokens() const override {
        std::set<std::string> found;
        for (const auto& child : mine_) found.insert(child->token());
        return found;
    }
    void look() {
        auto looked = scheduler_.look(world_.now);
        REQUIRE_MESSAGE((looked || looked.error().code == "not_leader"), looked.error().text());
    }
    bool leads() const { return scheduler_.leads(); }
    void kill(bool with_children) {
        world_.alive.erase(pid_);
        for (const auto& child : mine_)
            if (with_children && child->lives()) child->die("signal 9");
    }

  private:
    World& world_;
    std::string machine_;
    Children& all_;
    int64_t pid_;
    Children mine_;
    Scheduler scheduler_;
};

Scheduler::Settings three_pipelines() {
    auto half_hours = schedule::Times::read("*/30 * * * *", "Europe/Vienna");
    auto hours_ = schedule::Times::read("15 * * * *", "America/New_York");
    REQUIRE(half_hours);
    REQUIRE(hours_);
    Scheduler::Settings settings;
    auto add = [&](schedule::Job job) {
        job.catchup = config::Catchup::all;
        settings.retries[job.pipeline].max = 1000;
        settings.jobs.emplace(job.pipeline, std::move(job));
    };
    add({.pipeline = "orders", .times = *half_hours});
    add({.pipeline = "facts", .times = *half_hours, .after = {"orders"}});
    add({.pipeline = "report", .times = *hours_, .after = {"facts"}, .held_alone = "warehouse.duckdb"});
    add({.pipeline = "export", .times = *hours_, .pool = "slow", .held_alone = "warehouse.duckdb"});
    settings.pools["slow"] = 1;
    return settings;
}

/// One life of two servers on one state, which are killed, together with what they run or alone, at any moment.
class History {
  public:
    explicit History(unsigned seed) : random_(seed), settings_(three_pipelines()) {
        for (auto& server : servers_) server = made();
    }

    void live(int steps) {
        for (int i = 0; i < steps; ++i) step(true);
        // Somebody is there in the end, and nobody is killed any more.
        for (int i = 0; i < 600 && !is_done(i); ++i) {
            for (auto& server : servers_)
                if (!server) server = made();
            if (i == 0) world_.now += minutes(3);
            step(false);
        }
    }

    /// Each window was run once, and no time was left out.
    void check() {
        auto intervals = world_.intervals(0, "looks").newest("", 100000);
        REQUIRE(intervals);
        std::map<std::string, std::map<TimePoint, TimePoint>> windows;
        for (const auto& one : *intervals) {
            CHECK_MESSAGE(one.state == IntervalState::succeeded, one.pipeline, " ", iso_time(one.end), " ", one.remark);
            CHECK(windows[one.pipeline].emplace(one.start, one.end).second);
        }
        auto runs = world_.folder.store().runs(100000);
        REQUIRE(runs);
        std::map<std::pair<std::string, TimePoint>, int> ran;
        for (const auto& run : *runs) ++ran[{run.pipeline, run.window_end}];
        CHECK(runs->size() == intervals->size());
        for (const auto& [which, times] : ran) CHECK_MESSAGE(times == 1, which.first, " ", iso_time(which.second));
        for (const auto& [pipeline, all] : windows) {
            const auto& due = *settings_.jobs.at(pipeline).times;
            for (auto window = all.begin(); window != all.end(); ++window) {
                CHECK(due.next(window->first) == window->second);
                if (auto next = std::next(window); next != all.end()) CHECK(next->first == window->second);
            }
            CHECK(*due.next(all.rbegin()->second) > world_.now);
        }
        CHECK(windows.size() == settings_.jobs.size());
        intervals_seen += intervals->size();
    }

    static inline size_t intervals_seen = 0, kills = 0;

  private:
    int dice(int sides) { return std::uniform_int_distribution(1, sides)(random_); }

    std::unique_ptr<Server> made() {
        return std::make_unique<Server>(world_, fmt::format("machine {}", dice(2)), children_, settings_, events_);
    }

    void step(bool kills_too) {
        auto& server = servers_[static_cast<size_t>(dice(2) - 1)];
        switch (dice(kills_too ? 12 : 9)) {
            case 1:
            case 2: world_.now += kills_too ? seconds(dice(900)) : seconds(dice(20)); break;
            case 3:
            case 4:
            case 5:
                if (server) server->look();
                break;
            case 6:
            case 7:
            case 8:
            case 9: {
                std::vector<std::shared_ptr<Child>> living;
                for (const auto& child : children_)
                    if (child->lives()) living.push_back(child);
                children_ = living;
                if (living.empty()) break;
                living[static_cast<size_t>(dice(static_cast<int>(living.size())) - 1)]->step();
                std::set<std::string> at_work;
                for (const auto& child : living)
                    if (child->works()) CHECK_MESSAGE(at_work.insert(child->pipeline()).second, "two runs at once");
                CHECK_MESSAGE(!(at_work.contains("report") && at_work.contains("export")), "one file, two writers");
                break;
            }
            case 10:
                if (server) server->kill(dice(2) == 1), server.reset(), ++kills;
                break;
            case 11:
                if (!server) server = made();
                break;
            default:
                if (!children_.empty() && children_.back()->lives() && dice(3) == 1)
                    children_.back()->die("signal 9"), ++kills;
        }
    }

    bool is_done(int step) {
        if (step % 20 != 19) return false;
        for (const auto& server : servers_)
            if (server && server->leads()) server->look();
        auto situation = world_.intervals(0, "looks").situation();
        REQUIRE(situation);
        return std::ranges::none_of(*situation, [](const Interval& one) { return schedule::is_open(one.state); });
    }

    std::mt19937 random_;
    World world_;
    const Scheduler::Settings settings_;
    Children children_;
    std::vector<ScheduleEvent> events_;
    std::array<std::unique_ptr<Server>, 2> servers_;
};

}  // namespace

TEST_CASE("two servers that are killed at any moment run every interval once and leave none out") {
    const char* wanted = std::getenv("PENSTOCK_HISTORIES");
    unsigned histories = wanted == nullptr ? 200 : static_cast<unsigned>(std::atoi(wanted));
    for (unsigned seed = 1; seed <= histories; ++seed) {
        CAPTURE(seed);
        History history(seed);
        history.live(150);
        history.check();
    }
    MESSAGE(histories, " histories, ", History::kills, " kills, ", History::intervals_seen, " intervals");
    CHECK(History::kills > histories);
    CHECK(History::intervals_seen > 10 * histories);
}

TEST_CASE("a process that ends without a word is tried again as often as retries say") {
    World world;
    auto settings = three_pipelines();
    settings.jobs = {{"orders", settings.jobs.at("orders")}};
    settings.retries["orders"] = {.max = 2, .delay = seconds(10), .backoff = 2};
    Children children;
    std::vector<ScheduleEvent> events;
    Server server(world, "here", children, settings, events);
    server.look();
    world.now += minutes(31);
    for (int attempt = 0; attempt < 6; ++attempt) {
        server.look();
        for (const auto& child : children)
            if (child->lives()) child->step(), child->die("signal 11");
        world.now += seconds(50);
    }
    server.look();
    CHECK(children.size() == 3);
    auto all = world.intervals(0, "looks").newest("orders", 10);
    REQUIRE(all->size() == 1);
    CHECK(all->front().state == IntervalState::failed);
    CHECK(all->front().remark.find("signal 11") != std::string::npos);
    CHECK(events.back().kind == ScheduleEvent::Kind::run_failed);
}

}  // namespace penstock::app
