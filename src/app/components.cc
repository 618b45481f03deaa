#include "app/components.h"

#include <filesystem>
#include <string>

#include "connect/bigquery/component.h"
#include "connect/duckdb/component.h"
#include "connect/duckdb/options.h"
#include "connect/http_api/component.h"
#include "connect/kafka/component.h"
#include "connect/mysql/component.h"
#include "connect/parquet/component.h"
#include "connect/postgres/component.h"
#include "connect/pubsub/component.h"
#include "connect/smtp/component.h"
#include "connect/webhook/component.h"

namespace penstock::app {

const std::vector<const flow::Component*>& components() {
    static const std::vector<const flow::Component*> list = {
        &postgres::component(), &duckdb::component(), &bigquery::component(), &kafka::component(),
        &parquet::component(),  &pubsub::component(), &http_api::component(), &mysql::component(),
        &webhook::component(),  &smtp::component()};
    return list;
}

const flow::Component* find_component(std::string_view type) {
    for (const auto* component : components())
        if (component->type == type) return component;
    return nullptr;
}

std::string held_alone(const config::Connection& connection) {
    if (connection.type != duckdb::component().type) return "";
    auto options = duckdb::connection_spec().parse(connection.options);
    if (!options) return "";
    std::error_code ignored;
    return std::filesystem::weakly_canonical(options->path.value, ignored).string();
}

const config::Catalog& catalog() {
    static const config::Catalog made = [] {
        config::Catalog specs;
        auto spec = [](const config::SpecBase& (*of)()) { return of == nullptr ? nullptr : &of(); };
        for (const auto* component : components())
            specs.push_back({.type = std::string(component->type),
                             .doc = std::string(component->doc),
                             .connection = spec(component->connection_spec),
                             .source = spec(component->source_spec),
                             .target = spec(component->target_spec),
                             .takes_news = component->tell != nullptr});
        return specs;
    }();
    return made;
}

}  // namespace penstock::app
