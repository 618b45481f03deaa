#include "engine/exactness.h"

#include <fmt/format.h>

#include "engine/sql.h"

namespace penstock::engine {
namespace {

using data::Kind;
using data::Type;

/// What a mark looks at.
struct Looks {
    bool zeros = true;
    bool intervals = true;
};

std::string mark(const Type& type, const std::string& value, Looks at, int depth);

/// Marks of the elements of a list; a lambda's parameter is named by its depth, so that none hides another.
std::string list_mark(const Type& element, const std::string& list, Looks at, int depth) {
    std::string parameter = fmt::format("penstock_e{}", depth);
    std::string inner = mark(element, parameter, at, depth + 1);
    return inner.empty() ? "" : fmt::format("list_transform({}, lambda {}: {})", list, parameter, inner);
}

std::string row_of(const std::vector<std::string>& marks) {
    std::string list;
    for (const auto& one : marks)
        if (!one.empty()) list += (list.empty() ? "" : ", ") + one;
    return list.empty() ? "" : fmt::format("row({})", list);
}

std::string mark(const Type& type, const std::string& value, Looks at, int depth) {
    std::vector<std::string> parts;
    switch (type.kind) {
        case Kind::float32:
        case Kind::float64: return at.zeros ? fmt::format("({0} = 0 AND signbit({0}))", value) : "";
        case Kind::interval: return at.intervals ? fmt::format("CAST({} AS VARCHAR)", value) : "";
        case Kind::list: return list_mark(type.children.at(0).type, value, at, depth);
        case Kind::structure:
            for (const auto& field : type.children)
                parts.push_back(mark(
                    field.type, fmt::format("struct_extract({}, {})", value, quote_literal(field.name)), at, depth));
            return row_of(parts);
        case Kind::map:
            for (size_t i : {0U, 1U}) {
                const auto& entry = type.children.at(0).type;
                parts.push_back(list_mark(entry.children.at(i).type,
                                          fmt::format("{}({})", i == 0 ? "map_keys" : "map_values", value), at, depth));
            }
            return row_of(parts);
        default: return "";
    }
}

std::string same(const std::vector<ComparedColumn>& columns, std::string_view left, std::string_view right, Looks at) {
    std::string on;
    auto add = [&](const std::string& a, const std::string& b) {
        on += fmt::format("{}{} IS NOT DISTINCT FROM {}", on.empty() ? "" : " AND ", a, b);
    };
    for (const auto& [name, type] : columns) {
        std::string a = fmt::format("{}.{}", left, quote_identifier(name));
        std::string b = fmt::format("{}.{}", right, quote_identifier(name));
        add(a, b);
        if (auto marked = mark(type, a, at, 0); !marked.empty()) add(marked, mark(type, b, at, 0));
    }
    return on.empty() ? "true" : on;
}

std::string list(const std::vector<ComparedColumn>& columns, std::string_view prefix, Looks at) {
    std::string out;
    for (const auto& [name, type] : columns) {
        std::string value = fmt::format("{}{}", prefix, quote_identifier(name));
        std::string marked = mark(type, value, at, 0);
        out += fmt::format("{}{}{}{}", out.empty() ? "" : ", ", value, marked.empty() ? "" : ", ", marked);
    }
    return out;
}

constexpr Looks intervals_only = {.zeros = false, .intervals = true};

}  // namespace

std::string exactness_mark(const Type& type, const std::string& value) { return mark(type, value, {}, 0); }

bool has_signed_zero(const Type& type) { return !mark(type, "v", {.zeros = true, .intervals = false}, 0).empty(); }

std::string holds_negative_zero(const Type& type, const std::string& value) {
    std::string marked = mark(type, value, {.zeros = true, .intervals = false}, 0);
    // The text of nested marks holds a `true` where one of them is.
    return marked.empty() ? "" : fmt::format("coalesce(contains(CAST({} AS VARCHAR), 'true'), false)", marked);
}

std::string same_values(const std::vector<ComparedColumn>& columns, std::string_view left, std::string_view right) {
    return same(columns, left, right, {});
}

std::string same_but_for_zero_sign(const std::vector<ComparedColumn>& columns, std::string_view left,
                                   std::string_view right) {
    return same(columns, left, right, intervals_only);
}

std::string value_list(const std::vector<ComparedColumn>& columns, std::string_view prefix) {
    return list(columns, prefix, {});
}

std::string value_list_but_for_zero_sign(const std::vector<ComparedColumn>& columns, std::string_view prefix) {
    return list(columns, prefix, intervals_only);
}

}  // namespace penstock::engine
