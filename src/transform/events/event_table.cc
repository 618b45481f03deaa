#include "transform/events/event_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/digest.h"
#include "transform/events/ddl.h"

namespace penstock::events {
namespace {

using data::Kind;

FieldPlan plan_of(const data::Field& field) {
    FieldPlan plan{.name = field.name, .type = field.type, .required = !field.nullable};
    for (const auto& child : field.type.children) plan.children.push_back(plan_of(child));
    return plan;
}

Error at_route(const config::Text& place, std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::configuration,
            .code = std::move(code),
            .message = std::move(message),
            .where = place.place.text(),
            .hint = std::move(hint)};
}

Result<TableDefinition> read_schema(const config::FilePath& file) {
    std::ifstream stream(file.value, std::ios::binary);
    std::stringstream text;
    if (stream) text << stream.rdbuf();
    if (!stream)
        return fail(
            {.kind = ErrorKind::configuration,
             .code = "schema_file",
             .message = fmt::format("the schema {} cannot be read: {}", file.value.string(), std::strerror(errno)),
             .where = file.place.text(),
             .hint = "a file with a CREATE TABLE statement, relative to the configuration"});
    return parse_ddl(text.str(), file.value.string());
}

class Maker {
  public:
    Maker(const config::RouteTo& route, bool own_columns) : route_(route), own_columns_(own_columns) {}

    Result<EventTable> make(TableDefinition definition) {
        out_.route = route_.name;
        out_.unknown_fields = route_.unknown_fields;
        out_.max_bytes = route_.max_bytes.count;
        out_.info.name = route_.table.empty() ? definition.name : route_.table.value;
        out_.info.schema = std::move(definition.schema);
        out_.info.partition_by = route_.partition_by.empty() ? definition.partition_by : route_.partition_by.value;
        out_.info.cluster_by = std::move(definition.cluster_by);
        if (!route_.cluster_by.empty()) out_.info.cluster_by.assign(route_.cluster_by.begin(), route_.cluster_by.end());
        out_.info.description = std::move(definition.description);
        PN_CHECK(plan_fields());
        PN_CHECK(require());
        PN_CHECK(accept());
        out_.version = sha256_hex(data::to_json(out_.info.schema)).substr(0, 12);
        return finish();
    }

  private:
    Status plan_fields() {
        data::Field row{.name = "", .type = data::structure_of(out_.info.schema.fields)};
        out_.fields = plan_of(row);
        return {};
    }

    Result<FieldPlan*> column(const config::Text& name, std::string_view option) {
        int at = out_.fields.find(name.value);
        if (at >= 0) return &out_.fields.children[static_cast<size_t>(at)];
        return fail(at_route(name, "column_not_in_schema",
                             fmt::format("`{}` names column {}, which {} does not have", option, name.value, origin()),
                             "its names are case-sensitive, as in the events"));
    }

    Status require() {
        for (const auto& name : route_.required) {
            PN_TRY(auto* plan, column(name, "required"));
            plan->required = true;
        }
        return {};
    }

    Status accept() {
        for (const auto& [name, values] : route_.accepted_values) {
            config::Text named{.value = name, .place = route_.place};
            PN_TRY(auto* plan, column(named, "accepted_values"));
            if (plan->type.kind != Kind::text)
                return fail(at_route(named, "values_of_no_text",
                                     fmt::format("`accepted_values` is for columns of text, and {} is {}", name,
                                                 data::to_string(plan->type)),
                                     "leave it out"));
            plan->accepted = values;
        }
        return {};
    }

    int add(std::string name, data::Type type, std::string description, bool nullable) {
        auto& fields = out_.info.schema.fields;
        data::Field field{.name = std::move(name), .type = std::move(type), .nullable = nullable};
        field.description = std::move(description);
        fields.push_back(std::move(field));
        return static_cast<int>(fields.size()) - 1;
    }

    Result<EventTable> finish() {
        if (own_columns_) PN_CHECK(add_ingestion());
        if (out_.unknown_fields == config::UnknownFields::keep) {
            if (out_.fields.find(config::kept_fields_column) >= 0) return fail(taken(config::kept_fields_column));
            out_.kept = add(config::kept_fields_column, data::scalar(Kind::json), "Fields without a column", true);
        }
        if (!own_columns_) return std::move(out_);
        out_.position = add(position, data::scalar(Kind::text), "Where in the stream the event was", false);
        out_.version_column = add(schema_version, data::scalar(Kind::text), "Which schema it was read by", false);
        return std::move(out_);
    }

    Status add_ingestion() {
        for (const char* own : {position, schema_version})
            if (out_.fields.find(own) >= 0) return fail(taken(own));
        out_.ingestion = out_.fields.find(ingestion_time);
        if (out_.ingestion < 0) {
            out_.ingestion = add(ingestion_time, data::scalar(Kind::timestamptz), "When the event was received", true);
        } else if (out_.fields.children[static_cast<size_t>(out_.ingestion)].type.kind != Kind::timestamptz) {
            return fail(taken(ingestion_time));
        } else {
            out_.fields.children[static_cast<size_t>(out_.ingestion)].required = false;
        }
        return {};
    }

    Error taken(std::string_view name) {
        return {
            .kind = ErrorKind::configuration,
            .code = "column_taken",
            .message = fmt::format("column {} is Penstock's own, and {} has another meaning for it", name, origin()),
            .where = route_.schema.place.text(),
            .hint = "give the column another name, or for ingestion_time the type TIMESTAMP"};
    }

    std::string origin() const { return route_.schema.empty() ? "the source" : route_.schema.value.string(); }

    const config::RouteTo& route_;
    bool own_columns_;
    EventTable out_;
};

}  // namespace

int FieldPlan::find(std::string_view child) const {
    for (size_t i = 0; i < children.size(); ++i)
        if (children[i].name == child) return static_cast<int>(i);
    return -1;
}

Result<EventTable> EventTable::make(const config::RouteTo& route) {
    PN_TRY(auto definition, read_schema(route.schema));
    return make(route, std::move(definition));
}

Result<EventTable> EventTable::make(const config::RouteTo& route, TableDefinition definition) {
    return Maker(route, true).make(std::move(definition));
}

Result<EventTable> EventTable::make_for_records(const config::RouteTo& route) {
    PN_TRY(auto definition, read_schema(route.schema));
    return Maker(route, false).make(std::move(definition));
}

}  // namespace penstock::events
