#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/type.h"

namespace penstock::engine {

/// What a DuckDB file can hold, by its storage version; each has what those before it have.
enum class Storage : uint8_t {
    v1_0,
    v1_2,  ///< ZSTD segments
    v1_3,  ///< DICT_FSST, which takes the place of DICTIONARY and FSST
};

/// Of "v1.3.0+"; the oldest where the text is no version.
Storage storage_of(const std::string& version);

/// The compression to ask of DuckDB for a column, for `USING COMPRESSION`, or "" to let DuckDB try them all. Choosing
/// beforehand saves about a quarter of a load's CPU, and is only done where the type or the source's statistics tell.
/// `rows` is the table's size if known, else -1.
std::string_view choose_compression(const data::Field& field, int64_t rows, Storage storage);

}  // namespace penstock::engine
