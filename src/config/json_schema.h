#pragma once

#include <string>

#include "config/catalog.h"

namespace penstock::config {

/// The JSON Schema (draft 2020-12) of a whole configuration file, for editors and CI: what `penstock config-schema` prints.
/// It accepts what `load_document` accepts as far as a schema can say it; names that refer to each other are beyond it, and
/// `${…}` is accepted wherever a scalar is.
std::string json_schema(const Catalog& catalog);

/// Every component with its options, as one JSON document: what `penstock components --json` prints. An array of
/// `{type, doc, connection, source, target}`, the last two null where the system has none; each of the three is
/// `{name, doc, options: [{name, type, required, doc, default?, default_note?, example?, choices?, secret?, options?}]}`.
std::string components_json(const Catalog& catalog);

}  // namespace penstock::config
