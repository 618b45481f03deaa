#include "app/dashboard/assets.h"

#include "app/dashboard/files.h"

namespace penstock::app {
namespace {

/// Nothing of other sites, nothing inline, in nobody's frame.
constexpr const char* policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

http::Response page(const char* type, const char* body) {
    return {.body = body,
            .type = type,
            .headers = {{"Content-Security-Policy", policy}, {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace

std::optional<http::Response> dashboard(const std::string& path) {
    if (path == "/") return page("text/html; charset=utf-8", dashboard_files::index_html);
    if (path == "/dashboard.css") return page("text/css; charset=utf-8", dashboard_files::dashboard_css);
    if (path == "/dashboard.js") return page("text/javascript; charset=utf-8", dashboard_files::dashboard_js);
    return std::nullopt;
}

}  // namespace penstock::app
