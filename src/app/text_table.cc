#include "app/text_table.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/assert.h"

namespace penstock::app {
namespace {

struct CodePoint {
    char32_t value;
    size_t bytes;
};

/// The code point at the start of `text`; a byte that starts none counts as one of its own.
CodePoint first_code_point(std::string_view text) {
    auto lead = static_cast<uint8_t>(text[0]);
    size_t bytes = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (bytes == 1 || bytes > text.size()) return {lead, 1};
    char32_t value = lead & (0xff >> (bytes + 1));
    for (size_t i = 1; i < bytes; ++i) {
        auto next = static_cast<uint8_t>(text[i]);
        if ((next & 0xc0) != 0x80) return {lead, 1};
        value = value << 6 | (next & 0x3f);
    }
    return {value, bytes};
}

struct Range {
    char32_t first, last;
};

template <size_t N>
bool in(const std::array<Range, N>& ranges, char32_t value) {
    return std::ranges::any_of(ranges, [&](Range r) { return value >= r.first && value <= r.last; });
}

/// Unicode's East Asian Width W and F, and its combining marks, as far as tables of names and figures meet them.
size_t width_of(char32_t value) {
    static constexpr std::array<Range, 9> wide = {{{0x1100, 0x115f},
                                                   {0x2e80, 0x303e},
                                                   {0x3041, 0xa4cf},
                                                   {0xac00, 0xd7a3},
                                                   {0xf900, 0xfaff},
                                                   {0xfe30, 0xfe6f},
                                                   {0xff00, 0xff60},
                                                   {0x1f300, 0x1faff},
                                                   {0x20000, 0x3fffd}}};
    static constexpr std::array<Range, 5> combining = {
        {{0x300, 0x36f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}}};
    if (in(combining, value)) return 0;
    return in(wide, value) ? 2 : 1;
}

bool is_control(char32_t value) { return value < 0x20 || (value >= 0x7f && value < 0xa0); }

void append_cell(std::string& line, const std::string& cell, size_t width, TextTable::Align align, bool last) {
    std::string padding(width - std::min(width, display_width(cell)), ' ');
    if (align == TextTable::Align::right) line += padding;
    line += cell;
    if (last) return;
    if (align == TextTable::Align::left) line += padding;
    line += "  ";
}

}  // namespace

size_t display_width(std::string_view text) {
    size_t width = 0;
    while (!text.empty()) {
        auto [value, bytes] = first_code_point(text);
        width += width_of(value);
        text.remove_prefix(bytes);
    }
    return width;
}

std::string one_line(std::string_view text, size_t most) {
    std::string line;
    size_t width = 0;
    size_t fitting = 0;  // length of the longest prefix that leaves room for the ellipsis
    while (!text.empty()) {
        auto [value, bytes] = first_code_point(text);
        if (is_control(value)) line += ' ';
        else line += text.substr(0, bytes);
        width += width_of(value);
        if (most != 0 && width < most) fitting = line.size();
        if (most != 0 && width > most) return line.substr(0, fitting) + "…";
        text.remove_prefix(bytes);
    }
    return line;
}

void TextTable::add(std::vector<std::string> cells) {
    PN_ASSERT(cells.size() == columns_.size());
    for (size_t i = 0; i < cells.size(); ++i) cells[i] = one_line(cells[i], columns_[i].most);
    rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
    std::vector<size_t> shown;
    std::vector<size_t> widths(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i) {
        for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i]));
        if (widths[i] == 0 && !rows_.empty()) continue;
        widths[i] = std::max(widths[i], display_width(columns_[i].heading));
        shown.push_back(i);
    }
    std::string text;
    auto add_line = [&](auto&& cell_at) {
        std::string line;
        for (size_t i : shown) append_cell(line, cell_at(i), widths[i], columns_[i].align, i == shown.back());
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    };
    add_line([&](size_t i) -> const std::string& { return columns_[i].heading; });
    for (const auto& row : rows_) add_line([&](size_t i) -> const std::string& { return row[i]; });
    return text;
}

}  // namespace penstock::app
