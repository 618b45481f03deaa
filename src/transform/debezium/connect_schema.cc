#include "transform/debezium/connect_schema.h"

#include "transform/debezium/json_text.h"

namespace penstock::debezium {
namespace {

constexpr std::string_view source_schema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},)"
    R"({"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},)"
    R"({"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum",)"
    R"("version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,)"
    R"(incremental"},"default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},)"
    R"({"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},)"
    R"({"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},)"
    R"({"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},)"
    R"({"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},)"
    R"({"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],)"
    R"("optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"})";

constexpr std::string_view transaction_schema =
    R"({"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},)"
    R"({"type":"int64","optional":false,"field":"total_order"},)"
    R"({"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,)"
    R"("field":"transaction"})";

constexpr std::string_view last_fields =
    R"({"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},)"
    R"({"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"})";

std::string image(std::string_view name, std::string_view row, std::string_view field) {
    std::string out = R"({"type":"struct","fields":[)";
    out += row;
    out += R"(],"optional":true,"name":)" + json_string(std::string(name) + ".Value");
    out += ",\"field\":" + json_string(field) + "}";
    return out;
}

}  // namespace

std::string envelope_schema(std::string_view name, std::string_view row) {
    std::string out = R"({"type":"struct","fields":[)" + image(name, row, "before") + "," + image(name, row, "after");
    for (std::string_view part : {source_schema, transaction_schema, last_fields}) {
        out += ',';
        out += part;
    }
    return out + R"(],"optional":false,"name":)" + json_string(std::string(name) + ".Envelope") + R"(,"version":2})";
}

std::string key_schema(std::string_view name, std::string_view fields) {
    std::string out = R"({"type":"struct","fields":[)";
    out += fields;
    return out + R"(],"optional":false,"name":)" + json_string(std::string(name) + ".Key") + "}";
}

}  // namespace penstock::debezium
