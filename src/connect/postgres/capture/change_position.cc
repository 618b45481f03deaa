#include "connect/postgres/capture/change_position.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace penstock::postgres {
namespace {

using Json = nlohmann::json;

Error other_checkpoint() {
    return {.kind = ErrorKind::configuration,
            .code = "other_checkpoint",
            .message =
                "the target's checkpoint is not one of a change stream: another kind of pipeline has "
                "loaded this table under the same name",
            .hint = "give the pipeline another name or target, or run once with --full-refresh"};
}

std::optional<Lsn> lsn(const Json& json, const char* name) { return Lsn::parse(json.at(name).get<std::string>()); }

Json told(const std::map<std::string, Trouble>& tables) {
    Json json = Json::object();
    for (const auto& [name, why] : tables)
        json[name] = {{"code", why.code}, {"message", why.message}, {"streams", why.streams}};
    return json;
}

std::map<std::string, Trouble> heard(const Json& json) {
    std::map<std::string, Trouble> tables;
    for (const auto& [name, why] : json.items())
        tables[name] = {why.at("code").get<std::string>(), why.at("message").get<std::string>(),
                        why.value("streams", false)};
    return tables;
}

Json told(const std::vector<KnownColumns>& known) {
    Json json = Json::array();
    for (const auto& one : known) {
        Json columns = Json::object();
        for (const auto& [name, column] : one.columns) columns[name] = {column.number, column.type, column.modifier};
        json.push_back({{"lsn", one.at.text()}, {"columns", std::move(columns)}, {"file", one.file}});
    }
    return json;
}

std::vector<KnownColumns> heard_columns(const Json& json) {
    std::vector<KnownColumns> known;
    for (const auto& one : json) {
        auto& columns =
            known.emplace_back(KnownColumns{.at = lsn(one, "lsn").value_or(Lsn()), .file = one.value("file", "")})
                .columns;
        for (const auto& [name, column] : one.at("columns").items())
            columns[name] = {.number = column.at(0), .type = column.at(1), .modifier = column.at(2)};
    }
    return known;
}

}  // namespace

std::string ChangePosition::to_json() const {
    Json json{{"lsn", streamed.text()}, {"from", from.text()}, {"system", system}, {"timeline", timeline},
              {"born", born.text()},    {"oid", oid},          {"tables", tables}};
    if (shape) json["shape"] = Json::parse(shape->to_json());
    json["known"] = told(known);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<ChangePosition> ChangePosition::from_json(const std::string& text) {
    auto json = Json::parse(text, nullptr, false);
    try {
        auto streamed = lsn(json, "lsn"), from = lsn(json, "from"), born = lsn(json, "born");
        if (streamed && from && born)
            return ChangePosition{
                .streamed = *streamed,
                .from = *from,
                .system = json.at("system"),
                .timeline = json.at("timeline"),
                .born = *born,
                .oid = json.at("oid"),
                .tables = json.at("tables"),
                .shape = json.contains("shape") ? TableShape::from_json(json["shape"].dump()) : std::nullopt,
                .known = heard_columns(json.value("known", Json::array()))};
    } catch (const nlohmann::json::exception&) {  // said below
    }
    return fail(other_checkpoint());
}

std::string StreamPosition::to_json() const {
    return Json{{"lsn", streamed.text()}, {"system", system},       {"timeline", timeline}, {"born", born.text()},
                {"tables", tables},       {"unread", told(unread)}, {"aside", told(aside)}, {"unfit", told(unfit)}}
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<std::string> StreamPosition::troubles() const {
    std::vector<std::string> sentences;
    for (const auto& [name, why] : aside) sentences.push_back(name + " is set aside: " + why.message);
    for (const auto& [name, why] : unfit) sentences.push_back(name + " cannot be captured: " + why.message);
    for (const auto& [name, why] : unread) sentences.push_back(name + " is yet to be read anew: " + why.message);
    return sentences;
}

Result<StreamPosition> StreamPosition::from_json(const std::string& text) {
    auto json = Json::parse(text, nullptr, false);
    try {
        auto streamed = lsn(json, "lsn"), born = lsn(json, "born");
        if (streamed && born)
            return StreamPosition{.streamed = *streamed,
                                  .system = json.at("system"),
                                  .timeline = json.at("timeline"),
                                  .born = *born,
                                  .tables = json.at("tables"),
                                  .unread = heard(json.at("unread")),
                                  .aside = heard(json.at("aside")),
                                  .unfit = heard(json.at("unfit"))};
    } catch (const nlohmann::json::exception&) {  // said below
    }
    return fail(other_checkpoint());
}

}  // namespace penstock::postgres
