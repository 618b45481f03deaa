#include "app/dashboard/assets.h"

#include <string_view>

#include "app/dashboard/files.h"

namespace penstock::app {
namespace {

/// Nothing of other sites, nothing inline, in nobody's frame.
constexpr const char* policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

const char* type_of(std::string_view path) {
    if (path.ends_with(".css")) return "text/css; charset=utf-8";
    return path.ends_with(".js") ? "text/javascript; charset=utf-8" : "text/html; charset=utf-8";
}

http::Response page(const dashboard_files::File& file) {
    return {.body = file.text,
            .type = type_of(file.path),
            .headers = {{"Content-Security-Policy", policy}, {"Referrer-Policy", "no-referrer"}}};
}

}  // namespace

std::optional<http::Response> dashboard(const std::string& path) {
    for (const auto& file : dashboard_files::all)
        if (path == (std::string_view(file.path) == "/index.html" ? "/" : file.path)) return page(file);
    return std::nullopt;
}

}  // namespace penstock::app
