#include "connect/postgres/dataset.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <map>
#include <memory>

#include "connect/postgres/options.h"

namespace penstock::postgres {
namespace {

/// What libpq would take without connecting: the URL, over the environment and libpq's own defaults.
std::map<std::string, std::string> words_of(const std::string& url) {
    std::map<std::string, std::string> words;
    auto take = [&](PQconninfoOption* options) {
        std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> held(options, PQconninfoFree);
        for (const auto* one = options; one != nullptr && one->keyword != nullptr; ++one)
            if (one->val != nullptr) words[one->keyword] = one->val;
    };
    take(PQconndefaults());
    take(PQconninfoParse(url.c_str(), nullptr));
    return words;
}

std::string first_of(const std::string& list) { return list.substr(0, list.find(',')); }

}  // namespace

Result<std::vector<flow::Dataset>> source_datasets(const flow::BuildContext& context, const flow::TableInfo& table) {
    const auto* query = context.pipeline.source.find("query");
    if (query != nullptr) return std::vector<flow::Dataset>();
    PN_TRY(auto options, parse_connection(context.connection, context.connection_name));
    auto words = words_of(options.url.reveal());
    auto host = first_of(words["host"].empty() ? words["hostaddr"] : words["host"]);
    if (host.empty() || host.front() == '/' || host.front() == '@') host = "localhost";  // a socket of this machine
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    auto port = first_of(words["port"]);
    auto database = words["dbname"].empty() ? words["user"] : words["dbname"];
    return std::vector<flow::Dataset>{{.space = fmt::format("postgres://{}:{}", host, port.empty() ? "5432" : port),
                                       .name = fmt::format("{}.{}", database, table.name)}};
}

}  // namespace penstock::postgres
