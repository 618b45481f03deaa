#include "connect/postgres/capture/relation_columns.h"

#include <algorithm>

namespace penstock::postgres {
namespace {

/// A column that the message may have.
struct Candidate {
    int32_t number = 0;
    std::vector<uint32_t> types = {};     ///< that it may have had
    std::vector<std::string> names = {};  ///< that it is known by
    bool before = false;                  ///< it was there before
    bool now = false;                     ///< it is there now

    bool always() const { return before && now; }
    bool came() const { return !before && now; }  ///< in its turn: a later one cannot be without it
};

/// Goes through the candidates in their order, each in the message or not.
class Search {
  public:
    Search(std::span<const RelationColumn> message, std::vector<Candidate> candidates)
        : message_(message), candidates_(std::move(candidates)) {}

    std::optional<std::vector<int32_t>> only() {
        go(0, false);
        if (answers_.size() != 1 || steps_ > most_steps) return std::nullopt;
        return answers_.front();
    }

  private:
    static constexpr int most_steps = 20'000;

    void go(size_t at, bool closed) {
        if (answers_.size() > 1 || ++steps_ > most_steps) return;
        if (at == candidates_.size()) {
            if (chosen_.size() == message_.size()) answers_.push_back(chosen_);
            return;
        }
        const auto& candidate = candidates_[at];
        if (chosen_.size() < message_.size() && (candidate.before || !closed) && fits(candidate)) {
            chosen_.push_back(candidate.number);
            go(at + 1, closed);
            chosen_.pop_back();
        }
        if (!candidate.always()) go(at + 1, closed || candidate.came());
    }

    bool fits(const Candidate& candidate) const {
        auto alike = [&](uint32_t type) { return type == sent_type() || (is_text(type) && is_text(sent_type())); };
        return std::ranges::any_of(candidate.types, alike);
    }

    uint32_t sent_type() const { return message_[chosen_.size()].type; }
    /// text and varchar: one becomes the other and no row is rewritten.
    static bool is_text(uint32_t type) { return type == 25 || type == 1043; }

    std::span<const RelationColumn> message_;
    std::vector<Candidate> candidates_;
    std::vector<int32_t> chosen_;
    std::vector<std::vector<int32_t>> answers_;
    int steps_ = 0;
};

/// By number; nothing where a column is there now, was not before, and is no later one: it was not captured then.
std::optional<std::vector<Candidate>> candidates(const KnownColumns& before, std::span<const NumberedColumn> now) {
    std::map<int32_t, Candidate> found;
    int32_t last = 0;
    for (const auto& [name, column] : before.columns) {
        found[column.number] = {.number = column.number, .types = {column.type}, .names = {name}, .before = true};
        last = std::max(last, column.number);
    }
    for (const auto& column : now) {
        bool was = found.contains(column.number);
        if (!was && column.number <= last && !column.dropped) return std::nullopt;
        if (!was && column.number <= last) continue;  // dropped before
        auto& candidate = found[column.number];
        candidate.number = column.number;
        if (column.dropped && !was) candidate.types = column.may_have_been;
        if (column.dropped) continue;
        candidate.now = true;
        candidate.types.push_back(column.type);
        candidate.names.push_back(column.name);
    }
    std::vector<Candidate> in_order;
    for (auto& [number, candidate] : found) in_order.push_back(std::move(candidate));
    return in_order;
}

/// Of answers that rest on types: a type changed meanwhile would mislead. Then the rows were rewritten, and nothing but the names
/// that columns are known by counts; else a name must only not be another column's.
bool named_so(std::span<const RelationColumn> message, const std::vector<int32_t>& numbers,
              const std::vector<Candidate>& candidates, bool rewritten) {
    auto known_by = [](const Candidate& one, std::string_view name) {
        return std::ranges::find(one.names, name) != one.names.end();
    };
    for (size_t i = 0; i < numbers.size(); ++i) {
        const auto& candidate = *std::ranges::find(candidates, numbers[i], &Candidate::number);
        auto name = message[i].name;
        if (candidate.always() || known_by(candidate, name)) continue;
        auto anothers = [&](const Candidate& one) { return known_by(one, name); };
        if (rewritten || std::ranges::any_of(candidates, anothers)) return false;
    }
    return true;
}

}  // namespace

const KnownColumns* known_at(std::span<const KnownColumns> known, Lsn lsn) {
    const KnownColumns* newest = nullptr;
    for (const auto& one : known)
        if (one.at <= lsn) newest = &one;
    return newest;
}

std::optional<std::vector<int32_t>> numbers_of(std::span<const RelationColumn> message, const KnownColumns& before,
                                               const CatalogNow& now) {
    auto may_be = candidates(before, now.columns);
    if (!may_be) return std::nullopt;
    auto numbers = Search(message, *may_be).only();
    if (!numbers) return std::nullopt;
    // Where columns have only come, order alone decides.
    bool forced = std::ranges::all_of(*may_be, &Candidate::now);
    bool rewritten = before.file.empty() || before.file != now.file;
    if (!forced && !named_so(message, *numbers, *may_be, rewritten)) return std::nullopt;
    return numbers;
}

}  // namespace penstock::postgres
