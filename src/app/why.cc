#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/output.h"
#include "app/project.h"
#include "app/whereabouts.h"

namespace penstock::app {
namespace {

Error bad_key(const std::string& said) {
    return {.kind = ErrorKind::usage,
            .code = "bad_key",
            .message = fmt::format("'{}' is no COLUMN=VALUE", said),
            .hint = "name the row by its columns: `penstock why shop.orders id=42`"};
}

}  // namespace

Result<int> command::why(const Session& session) {
    std::vector<std::pair<std::string, std::string>> key;
    for (const auto& part : session.options.names) {
        auto equals = part.find('=');
        if (equals == std::string::npos || equals == 0) return fail(bad_key(part));
        key.emplace_back(part.substr(0, equals), part.substr(equals + 1));
    }
    PN_TRY(auto document, load_project(session));
    PN_TRY(auto row, find_row(document, session.options.table, key, session.options.pipeline, session.stop));
    PN_CHECK(session.json() ? print_json(whereabouts_json(row)) : print(whereabouts_text(row)));
    return 0;
}

}  // namespace penstock::app
