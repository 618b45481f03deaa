#include "base/html.h"

#include <fmt/format.h>

namespace penstock {
namespace {

constexpr const char* head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{}</title><style>
:root{{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#cf222e;--warn:#9a6700}}
@media (prefers-color-scheme:dark){{:root{{--good:#3fb950;--bad:#ff7b72;--warn:#d29922}}}}
body{{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}}
h1{{font-size:1.5rem;margin:0}}h2{{font-size:1.1rem;margin:2rem 0 .3rem}}p{{margin:.2rem 0;opacity:.8}}
.scroll{{overflow-x:auto}}table{{border-collapse:collapse;width:100%}}
th,td{{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}}
th{{font-weight:600}}td.number{{text-align:right;font-variant-numeric:tabular-nums}}code{{font-size:.85em;overflow-wrap:anywhere}}
.good{{color:var(--good)}}.bad{{color:var(--bad)}}.warn{{color:var(--warn)}}.past{{letter-spacing:.1em;white-space:nowrap}}
</style></head><body>
)";

}  // namespace

std::string html_escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '&') out += "&amp;";
        else if (c == '<') out += "&lt;";
        else if (c == '>') out += "&gt;";
        else if (c == '"') out += "&quot;";
        else out += c;
    }
    return out;
}

std::string html_head(std::string_view title) { return fmt::format(head, html_escaped(title)); }

}  // namespace penstock
