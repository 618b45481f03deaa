// Random lives of a small table, applied part by part and compared with a plain model: inserts, updates of any column, moves
// to other keys and swaps of keys, values that are not sent, deletes, truncates; parts in any order of their rows, parts that
// come again, that overlap, or that are long past. PENSTOCK_APPLY_SEED runs one, PENSTOCK_APPLY_RUNS as many as one likes.
#include <cstdlib>
#include <map>
#include <random>

#include "connect/duckdb/test_changes.h"

namespace penstock::duckdb::test {
namespace {

using data::Kind;
using flow::Deletes;
using flow::Mode;

struct Kept {
    Row values;
    std::string position;
    int64_t from = 0;
    std::optional<int64_t> to = {};
    bool deleted = false;
};

/// What the target should be. Rows stand in the order in which they came.
class Model {
  public:
    Model(Mode mode, Deletes deletes, size_t keys)
        : history_(mode == Mode::history), hard_(!history_ && deletes == Deletes::hard), keys_(keys) {}

    void add(const Change& change, const Row& values) {
        if (!history_ && !hard_ && keys_ > 0)
            std::erase_if(rows_, [&](const Kept& row) { return row.deleted && same_key(row.values, values); });
        rows_.push_back({.values = values, .position = change.position(), .from = change.at});
    }
    void update(const Change& change, const Row& values) {
        auto& row = find(values);
        if (history_) {
            row.to = change.at;
            return add(change, values);
        }
        row.values = values;
        row.position = change.position();
    }
    void remove(const Change& change, const Row& values) { take(change, find(values)); }
    void truncate(const Change& change) {
        if (hard_) return rows_.clear();
        for (auto& row : rows_)
            if (alive(row)) mark(change, row);
    }

    std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        for (const auto& row : rows_) {
            std::string line;
            for (const auto& value : row.values) line += value.value_or("NULL") + ",";
            line += row.position;
            if (!hard_) line += row.deleted ? ",true" : ",false";
            if (history_) line += fmt::format(",{},{}", row.from, row.to ? fmt::format("{}", *row.to) : "NULL");
            lines.push_back(std::move(line));
        }
        std::ranges::sort(lines);
        return lines;
    }

  private:
    bool alive(const Kept& row) const { return !row.deleted && !row.to; }
    bool same_key(const Row& a, const Row& b) const {
        return keys_ == 0 ? a == b : std::equal(a.begin(), a.begin() + static_cast<long>(keys_), b.begin());
    }
    Kept& find(const Row& values) {
        for (auto& row : rows_)
            if (alive(row) && same_key(row.values, values)) return row;
        FAIL("the model has no such row");
        return rows_.front();
    }
    void mark(const Change& change, Kept& row) {
        row.deleted = true;
        row.position = change.position();
        if (history_) row.to = change.at;
    }
    void take(const Change& change, Kept& row) {
        if (!hard_) return mark(change, row);
        rows_.erase(rows_.begin() + (&row - rows_.data()));
    }

    bool history_;
    bool hard_;
    size_t keys_;
    std::vector<Kept> rows_;
};

/// A change with what its part does not say: which row it is of, and where that stood before.
struct Made {
    Change change;
    int64_t row = 0;
    std::optional<Row> moved_from = {};
};

/// The source: makes changes, tells the model, and cuts parts.
class Life {
  public:
    Life(uint64_t seed, size_t keys, Model& model) : random_(seed), keys_(keys), model_(model) {}

    bool chance(int percent) { return number(100) < percent; }
    int number(int below) { return static_cast<int>(random_() % static_cast<uint64_t>(below)); }

    std::vector<Made> snapshot() {
        ++commit_;
        std::vector<Made> made;
        for (int i = number(6); i > 0; --i) {
            Row values = fresh();
            if (keys_ > 0 && rows_.contains(key_of(values))) continue;
            Change change{.op = 'r', .values = values, .commit = commit_, .ordinal = 0, .at = at_};
            made.push_back({.change = change, .row = put(values)});
            model_.add(change, values);
        }
        return made;
    }

    std::vector<Made> transactions() {
        made_.clear();
        for (int i = 1 + number(4); i > 0; --i) {
            commit_ += 1 + static_cast<uint64_t>(number(3));
            at_ += number(5) - 1;
            ordinal_ = 0;
            for (int j = 1 + number(7); j > 0; --j) act();
        }
        return std::exchange(made_, {});
    }

    /// Rows as a part has them: identities are the part's own.
    std::vector<Change> part(const std::vector<Made>& made) {
        std::map<int64_t, std::pair<int64_t, Row>> known;
        std::vector<Change> changes;
        int64_t next = 0;
        for (const auto& [original, row, moved_from] : made) {
            Change change = original;
            bool unsent = std::ranges::find(change.values, "?") != change.values.end();
            if (moved_from && change.op == 'c' && !known.contains(row) && (unsent || chance(30)))
                known[row] = {++next, *moved_from};
            if (auto found = known.find(row); found != known.end()) {
                change.identity = found->second.first;
                change.origin = found->second.second;
            }
            changes.push_back(std::move(change));
        }
        std::ranges::shuffle(changes, random_);
        return changes;
    }

  private:
    struct Row_ {
        Row values;
        int64_t number;
    };
    using Rows = std::multimap<Row, Row_>;

    Row key_of(const Row& values) const {
        return keys_ == 0 ? values : Row(values.begin(), values.begin() + static_cast<long>(keys_));
    }
    std::optional<std::string> text() {
        static const char* const texts[] = {"x", "yy", "a longer text that is not inlined",
                                            "another one, longer than that"};
        if (chance(20)) return std::nullopt;
        return texts[number(keys_ == 0 ? 1 : 4)];  // without key, equal rows are the interesting ones
    }
    Row fresh() {
        return {fmt::format("{}", number(4)), std::string(1, static_cast<char>('p' + number(keys_ == 2 ? 2 : 1))),
                text(), text()};
    }
    int64_t put(const Row& values) {
        rows_.emplace(key_of(values), Row_{values, ++row_});
        return row_;
    }
    Change& emit(char op, Row values, int64_t row, std::optional<Row> moved_from = {}) {
        made_.push_back(
            {.change = {.op = op, .values = std::move(values), .commit = commit_, .ordinal = ++ordinal_, .at = at_},
             .row = row,
             .moved_from = std::move(moved_from)});
        return made_.back().change;
    }

    void act() {
        int what = number(100);
        if (what < 4) return truncate();
        if (what < 28 || rows_.empty()) return insert();
        auto at = std::next(rows_.begin(), number(static_cast<int>(rows_.size())));
        if (what < 40) return remove(at);
        if (what < 65 || keys_ == 0) return update(at);
        if (what < 88) return move(at, key_of(fresh()));
        swap(at);
    }
    void truncate() {
        rows_.clear();
        model_.truncate(emit('t', {}, 0));
    }
    void insert() {
        Row values = fresh();
        if (keys_ > 0 && rows_.contains(key_of(values))) return;
        int64_t row = put(values);
        model_.add(emit('c', values, row), values);
    }
    void remove(Rows::iterator at) {
        auto [values, row] = at->second;
        Row said = keys_ == 0 || chance(30) ? values : key_of(values);
        rows_.erase(at);
        model_.remove(emit('d', said, row), values);
    }
    Row changed(const Row& values) {
        Row now = values;
        for (size_t i = std::max<size_t>(keys_, 1); i < now.size(); ++i)
            if ((i > 1 || keys_ == 0) && chance(25)) now[i] = text();
        if (keys_ == 1) now[1] = std::string(1, static_cast<char>('p' + number(3)));
        return now;
    }
    /// What of `now` is sent: a value that was there before may be left out.
    Row sent(const Row& before, Row now) {
        for (size_t i = std::max<size_t>(keys_, 1); i < now.size(); ++i)
            if (now[i] && now[i] == before[i] && chance(75)) now[i] = "?";
        return now;
    }
    void update(Rows::iterator at) {
        auto [before, row] = at->second;
        Row now = changed(before);
        if (keys_ > 0) {
            at->second.values = now;
            model_.update(emit('u', sent(before, now), row), now);
            return;
        }
        rows_.erase(at);
        model_.remove(emit('d', before, row), before);
        row = put(now);
        model_.add(emit('c', now, row), now);
    }
    void move(Rows::iterator at, Row to) {
        if (rows_.contains(to)) return;
        auto [before, row] = at->second;
        Row now = chance(50) ? before : changed(before);
        std::ranges::copy(to, now.begin());
        rows_.erase(at);
        model_.remove(emit('d', key_of(before), row, key_of(before)), before);
        rows_.emplace(to, Row_{now, row});
        model_.add(emit('c', sent(before, now), row, key_of(before)), now);
    }
    void swap(Rows::iterator a) {
        auto b = std::next(rows_.begin(), number(static_cast<int>(rows_.size())));
        Row first = a->first, second = b->first, aside = first;
        aside[0] = "99";
        move(a, aside);
        if (first != second) move(rows_.find(second), first);
        move(rows_.find(aside), second);
    }

    std::mt19937_64 random_;
    size_t keys_;
    Model& model_;
    Rows rows_;
    std::vector<Made> made_;
    int64_t row_ = 0;
    uint64_t commit_ = 7;
    uint64_t ordinal_ = 0;
    int64_t at_ = 1'000'000;
};

flow::TableTarget table(const std::string& name, Mode mode, Deletes deletes, size_t keys) {
    flow::TableTarget target{.name = name, .mode = mode, .deletes = deletes};
    target.info = {.name = "public.t",
                   .schema = {{field("id", Kind::int32), field("sub", Kind::text), field("a", Kind::text),
                               field("b", Kind::text)}},
                   .key_is_unique = true,
                   .changes = true};
    for (size_t i = 0; i < keys; ++i) target.info.key.push_back(target.info.schema.fields[i].name);
    target.key = target.info.key;
    return target;
}

std::vector<std::string> found(Warehouse& warehouse, const flow::TableTarget& target) {
    std::string select = "SELECT id, sub, a, b, _penstock_position";
    if (target.mode == Mode::history)
        select += ", _penstock_deleted, epoch_us(_penstock_valid_from), epoch_us(_penstock_valid_to)";
    else if (target.deletes == Deletes::soft) select += ", _penstock_deleted";
    std::vector<std::string> lines;
    for (const auto& row : warehouse.rows(select + " FROM " + target.name))
        lines.push_back(fmt::format("{}", fmt::join(row, ",")));
    std::ranges::sort(lines);
    return lines;
}

/// One life; false where the target is not what the model says.
bool live(Warehouse& warehouse, uint64_t seed, Mode mode, Deletes deletes) {
    size_t keys = seed % 4 == 3 ? 0 : 1 + seed % 2;
    bool stays = mode == Mode::history || deletes == Deletes::soft;
    Model model(mode, deletes, keys);
    Life life(seed, keys, model);
    Stream stream(warehouse, table(fmt::format("main.t{}", seed), mode, deletes, keys));
    auto apply = [&](const std::vector<Made>& made, const char* how) {
        auto counts = stream.apply(life.part(made));
        INFO("seed ", seed, ", ", how);
        REQUIRE_MESSAGE(counts, counts.error().text());
        CHECK(counts->rows_read == static_cast<int64_t>(made.size()));
        CHECK(stream.rejected.empty());
        auto is = found(warehouse, stream.target), should = model.lines();
        CHECK(fmt::format("{}", fmt::join(is, "\n")) == fmt::format("{}", fmt::join(should, "\n")));
        return is == should;
    };
    std::vector<std::vector<Made>> parts = {life.snapshot()};
    if (!apply(parts[0], "snapshot")) return false;
    for (int i = 0; i < 3; ++i) {
        auto made = life.transactions();
        bool whole = keys > 0 || (stays && i > 0);  // all of it is recognised when it comes again
        if (whole && life.chance(40)) {
            auto both = parts.back();
            both.insert(both.end(), made.begin(), made.end());
            made = std::move(both);
        }
        if (!apply(made, "once")) return false;
        parts.push_back(made);
        bool again = keys > 0 || stays;
        if (again && life.chance(40) && !apply(made, "again")) return false;
        size_t earlier = static_cast<size_t>(life.number(static_cast<int>(parts.size())));
        if (stays && (keys > 0 || earlier > 0) && life.chance(20) && !apply(parts[earlier], "an earlier one"))
            return false;
    }
    return true;
}

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void live_many(Mode mode, Deletes deletes) {
    Warehouse warehouse;
    auto open = engine::Database::open(warehouse.file, warehouse.settings().engine);
    REQUIRE(open);
    uint64_t first = from_environment("PENSTOCK_APPLY_SEED", 1);
    uint64_t runs = std::getenv("PENSTOCK_APPLY_SEED") != nullptr ? 1 : from_environment("PENSTOCK_APPLY_RUNS", 12);
    for (uint64_t seed = first; seed < first + runs; ++seed) {
        if (!live(warehouse, seed, mode, deletes)) return;
        warehouse.execute(fmt::format("DROP TABLE main.t{}", seed));
    }
}

TEST_CASE("random lives: mirror") { live_many(Mode::merge, Deletes::hard); }
TEST_CASE("random lives: mirror with soft deletes") { live_many(Mode::merge, Deletes::soft); }
TEST_CASE("random lives: history") { live_many(Mode::history, Deletes::hard); }

}  // namespace
}  // namespace penstock::duckdb::test
