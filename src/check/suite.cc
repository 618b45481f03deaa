#include <fmt/format.h>

#include "check/compare.h"
#include "check/expectation.h"

namespace penstock::check {
namespace {

using config::Node;

const Node* given(const Node& map, const char* name) {
    const auto* found = map.find(name);
    return found == nullptr || found->is_null() ? nullptr : found;
}

Error no_suite(const config::Place& place, const std::string& file, const std::string& why) {
    return mistake(place, "not_a_suite", fmt::format("{} is no suite of Great Expectations 1.x: {}", file, why),
                   "it is JSON with a `name` and a list of `expectations`, each with a `type` and `kwargs`, as "
                   "`suite.to_json_dict()` gives it");
}

Result<Severity> severity_of(const Node& one) {
    const auto* said = given(one, "severity");
    if (said == nullptr || said->text == "critical") return Severity::critical;
    if (said->text == "warning") return Severity::warning;
    if (said->text == "info") return Severity::info;
    return fail(mistake(said->place, "unknown_severity", fmt::format("there is no severity '{}'", said->text),
                        "critical, warning or info"));
}

Result<double> mostly_of(const Node& kwargs, double otherwise) {
    const auto* said = given(kwargs, "mostly");
    if (said == nullptr) return otherwise;
    char* end = nullptr;
    double share = std::strtod(said->text.c_str(), &end);
    if (said->is_scalar() && *end == 0 && share >= 0 && share <= 1) return share;
    return fail(mistake(said->place, "wrong_type", "`mostly` is a share from 0 to 1", "such as 0.95"));
}

Result<Expectation> read_one(const Node& one, const std::string& file, const config::CheckManner& manner) {
    const auto* type = given(one, "type");
    if (type == nullptr && given(one, "expectation_type") != nullptr)
        return fail(no_suite(one.place, file, "it has `expectation_type`, as versions before 1.0 wrote it"));
    if (type == nullptr || !type->is_scalar()) return fail(no_suite(one.place, file, "an expectation has no `type`"));
    Expectation made{.type = type->text, .kwargs = Node::map({}), .place = one.place, .name = manner.name.value};
    if (const auto* kwargs = given(one, "kwargs")) {
        if (!kwargs->is_map()) return fail(no_suite(kwargs->place, file, "`kwargs` is no map"));
        made.kwargs.place = kwargs->place;
        for (const auto& entry : kwargs->entries)
            if (entry.key != "mostly" && !entry.value.is_null()) made.kwargs.entries.push_back(entry);
        PN_TRY(made.mostly, mostly_of(*kwargs, manner.mostly.value_or(1)));
    }
    const auto* known = known_expectation(made.type);
    bool of_rows = known != nullptr && known->family == Family::rows;
    if (!of_rows) made.mostly = 1;
    PN_TRY(made.severity, severity_of(one));
    if (manner.severity) made.severity = *manner.severity;
    bool stops = made.severity == Severity::critical;
    made.on_fail = manner.on_fail.value_or(stops ? OnFail::stop : OnFail::warn);
    // Of a suite whose rows are to be rejected, what is not of rows stops.
    if (made.on_fail == OnFail::reject && !of_rows) made.on_fail = stops ? OnFail::stop : OnFail::warn;
    made.rows = manner.rows.value_or(compares_tables(made) ? CheckedRows::table : CheckedRows::batch);
    return made;
}

}  // namespace

Result<std::vector<Expectation>> read_suite(const std::filesystem::path& file, const config::Place& named_at,
                                            const config::CheckManner& manner) {
    // JSON is YAML, and read as such it keeps its places.
    auto loaded = config::load(file.string());
    if (!loaded) return fail(std::move(loaded.error()).at(named_at.text()));
    const auto* expectations = loaded->find("expectations");
    if (expectations == nullptr || !expectations->is_sequence())
        return fail(no_suite(named_at, file.string(), "it has no list of `expectations`"));
    std::vector<Expectation> all;
    for (const auto& one : expectations->items) {
        if (!one.is_map()) return fail(no_suite(one.place, file.string(), "an expectation is no map"));
        PN_TRY(auto made, read_one(one, file.string(), manner));
        PN_CHECK(check_arguments(made));
        all.push_back(std::move(made));
    }
    return all;
}

}  // namespace penstock::check
