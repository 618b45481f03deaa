#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

using Oid = uint32_t;

constexpr Oid bytea_oid = 17;

/// A type as pg_type describes it, with all it is made of.
struct PgType {
    struct Attribute {
        std::string name;
        Oid type;
        int32_t modifier;
        int32_t dimensions;
    };

    Oid oid = 0;
    std::string name;   ///< of pg_type
    std::string shown;  ///< format_type(), without modifier: "character varying"
    char kind = 'b';    ///< typtype: base, composite, domain, enum, multirange, pseudo, range
    Oid element = 0;    ///< of a true array
    Oid base = 0;       ///< of a domain
    int32_t base_modifier = -1;
    int32_t base_dimensions = 0;
    Oid subtype = 0;                    ///< of a range; of a multirange its range
    bool core = false;                  ///< of pg_catalog
    bool binary = true;                 ///< has a send function
    char delimiter = ',';               ///< between elements in an array's text; box has ';'
    std::vector<Attribute> attributes;  ///< of a composite, without dropped ones
};

/// Types by oid, read from the server as they are needed, each once.
class TypeCatalog {
  public:
    explicit TypeCatalog(Session& session) : session_(session) {}

    /// Reads the types and everything they are made of.
    Status load(std::span<const Oid> oids);
    /// Of a loaded type.
    const PgType& at(Oid oid) const { return types_.at(oid); }

  private:
    Status load_attributes(const std::vector<Oid>& relations);

    Session& session_;
    std::map<Oid, PgType> types_;
};

}  // namespace penstock::postgres
