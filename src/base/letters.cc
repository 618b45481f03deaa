#include "base/letters.h"

#include <algorithm>

namespace penstock {

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    return out;
}

bool matches(std::string_view text, std::string_view pattern) {
    // Where the last `*` stood and how much it has taken: no earlier one ever has to take more.
    size_t star = pattern.npos, taken = 0, i = 0, j = 0;
    while (i < text.size()) {
        if (j < pattern.size() && pattern[j] == '*') {
            star = j++;
            taken = i;
        } else if (j < pattern.size() && (pattern[j] == '?' || pattern[j] == text[i])) {
            ++i;
            ++j;
        } else if (star != pattern.npos) {
            j = star + 1;
            i = ++taken;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', j) == pattern.npos;
}

}  // namespace penstock
