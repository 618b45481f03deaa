#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "connect/http_api/source_options.h"
#include "data/block.h"

namespace penstock::http_api {

/// The column by which only what is new is asked for, and how its values are written.
class Cursor {
  public:
    Cursor() = default;
    /// Of options that name one, or an error that says which columns serve.
    static Result<Cursor> make(const SourceOptions& options, const events::EventTable& table);

    bool any() const { return column_ >= 0; }
    /// The raw value (microseconds, days, unscaled digits) of a row; nothing for NULL.
    std::optional<data::Int128> at(const data::Block& block, size_t row) const;
    /// As people read it, and back.
    std::string text(data::Int128 raw) const;
    std::optional<data::Int128> raw(const std::string& text) const;
    /// From where on the API is asked after `raw` was read.
    data::Int128 from(data::Int128 raw) const { return raw - lag_; }
    /// As the API is asked.
    std::string parameter(data::Int128 raw) const;

  private:
    std::string time_parameter(int64_t micros) const;

    int column_ = -1;
    data::Type type_;
    CursorFormat format_ = CursorFormat::iso;
    data::Int128 lag_ = 0;
};

/// How far a table has got, kept as JSON in the checkpoint.
struct Position {
    std::string cursor;  ///< largest value read, as Cursor::text
    std::string of;      ///< a digest of what was asked for; another request has positions of its own

    std::string to_json() const;
    static Result<Position> from_json(const std::string& json);
};

}  // namespace penstock::http_api
