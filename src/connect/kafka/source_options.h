#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/pipeline.h"
#include "transform/debezium/decode_options.h"
#include "transform/payload/format.h"

namespace penstock::kafka {

enum class SourceFormat { debezium, json, avro, protobuf };

/// Columns with their types, in the order in which they were written.
struct DeclaredColumns {
    std::vector<std::pair<std::string, config::Text>> list;
};

/// `source: {connection: bus, topics: [shop.public.orders], format: debezium}`
struct SourceOptions : config::SourceOptions {
    std::vector<config::Text> topics;
    SourceFormat format = SourceFormat::debezium;
    config::FilePath schema;
    config::Text message;
    config::Text group;
    DeclaredColumns columns;
    debezium::Decimals decimals = debezium::Decimals::precise;
    debezium::Times times = debezium::Times::adaptive;
    debezium::Intervals intervals = debezium::Intervals::numeric;
    debezium::Binaries binaries = debezium::Binaries::bytes;
    std::string unavailable = std::string(debezium::unavailable_value);
};

const config::Spec<SourceOptions>& source_spec();

/// How the payloads of events are written, with the connection's registry where there is one.
payload::FormatOptions format_of(const SourceOptions& source, std::optional<payload::RegistryOptions> registry);

/// The columns declared for a table ("public.orders"): `orders.id` before `id`. The types are not looked at.
std::vector<std::pair<std::string, std::string>> columns_for(const SourceOptions& options, const std::string& table);

/// "public.orders" of topic "shop.public.orders".
std::string table_of_topic(const std::string& topic);

}  // namespace penstock::kafka
