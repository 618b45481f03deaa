#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "connect/postgres/pg_type.h"
#include "data/holds.h"

namespace penstock::postgres {

class TextParser;

/// Turns one type's text form, as its output function writes it, into the binary form that map_type()'s reader of the
/// same type decodes: byte for byte what COPY gives for Mapping::expression, so that there is one type table for
/// snapshots and for change streams that come as text (pgoutput without `binary`, wal2json). What the table takes as
/// PostgreSQL's own text stays as it is, also inside arrays, composites and ranges.
///
/// The session that rendered the text had DateStyle ISO. Every IntervalStyle, TimeZone and bytea_output is understood;
/// floats are as exact as extra_float_digits made them. A NaN's sign and payload have no text and become the usual NaN.
///
/// Chosen once a column; stateless, shared by threads.
class TextToWire {
  public:
    using Lookup = std::function<const PgType&(Oid)>;

    /// `type` and all it is made of must be loaded; nothing of the catalog is kept. Fails where map_type() does for the
    /// type itself (pseudo-types, nesting without end).
    static Result<TextToWire> make(Oid type, const TypeCatalog& catalog, const data::Holds& holds);
    static Result<TextToWire> make(Oid type, const Lookup& lookup, const data::Holds& holds);

    /// The text is the wire form: convert() would only copy it.
    bool verbatim() const { return parser_ == nullptr; }

    /// Appends the wire form of a value that is not NULL. `wire` is the caller's to reuse; readers of longer texts and
    /// bytes keep views into it, so it must neither move nor change while their block is in use. Text that the output
    /// function cannot have written is an error with code `malformed`, kind `data`; `wire` is then as it was.
    Status convert(std::string_view text, std::string& wire) const;

  private:
    TextToWire(std::shared_ptr<const TextParser> parser, std::string shown)
        : parser_(std::move(parser)), shown_(std::move(shown)) {}

    std::shared_ptr<const TextParser> parser_;
    std::string shown_;  ///< the type, for messages
};

}  // namespace penstock::postgres
