#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::app {

/// Columns on a screen the text takes: code points, wide East Asian ones twice, combining ones not at all.
size_t display_width(std::string_view text);

/// The text fit for one line of a terminal: line breaks, tabs and other control characters are replaced by a space, and
/// what goes beyond `most` columns (0: no limit) by `…`.
std::string one_line(std::string_view text, size_t most = 0);

/// Rows for people: aligned columns two spaces apart, a heading, nothing drawn around. Numbers stand right.
class TextTable {
  public:
    enum class Align { left, right };
    struct Column {
        std::string heading;
        Align align = Align::left;
        size_t most = 0;  ///< longer cells are cut; 0: never
    };

    explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
    /// As many cells as columns.
    void add(std::vector<std::string> cells);
    bool empty() const { return rows_.empty(); }
    /// Ends in a line break. Columns in which no row says anything are left out.
    std::string text() const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace penstock::app
