#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/type.h"

namespace penstock::engine {

/// SQL holds some values for equal that are not the same: -0.0 and 0.0; '1 month', '30 days' and '720 hours'; also inside
/// lists, structures and maps. An expression that tells them apart: two values of the type are the same when they are equal
/// and so are their marks. NaN is NaN, whatever its bits. "" where equality of the type says it all.
std::string exactness_mark(const data::Type& type, const std::string& value);

/// Whether values of the type hold floating-point numbers, whose zero has a sign.
bool has_signed_zero(const data::Type& type);
/// Whether a value holds a -0.0: an SQL condition, never NULL. "" where the type cannot.
std::string holds_negative_zero(const data::Type& type, const std::string& value);

struct ComparedColumn {
    std::string name;
    data::Type type;
};

/// Whether two rows hold the same values: an SQL condition, never NULL. NULL is the same as NULL.
std::string same_values(const std::vector<ComparedColumn>& columns, std::string_view left, std::string_view right);
/// The same, but a zero is a zero whatever its sign.
std::string same_but_for_zero_sign(const std::vector<ComparedColumn>& columns, std::string_view left,
                                   std::string_view right);
/// Expressions by which PARTITION BY, GROUP BY, DISTINCT ON or row() tell rows apart exactly: the columns and their marks.
std::string value_list(const std::vector<ComparedColumn>& columns, std::string_view prefix = {});
/// The same, but a zero is a zero whatever its sign.
std::string value_list_but_for_zero_sign(const std::vector<ComparedColumn>& columns, std::string_view prefix = {});

}  // namespace penstock::engine
