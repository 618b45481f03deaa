#include "connect/bigquery/sql.h"

#include <fmt/format.h>
#include <strings.h>

#include "io/url.h"

namespace penstock::bigquery {

std::string quote_identifier(std::string_view name) { return fmt::format("`{}`", name); }

std::string quote_literal(std::string_view text) {
    std::string out = "'";
    for (char c : text) {
        switch (c) {
            case '\'': out += "\\'"; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
                    out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
                else out += c;
        }
    }
    return out + "'";
}

std::string quote_list(const std::vector<std::string>& names, std::string_view prefix) {
    std::string out;
    for (const auto& name : names) out += fmt::format("{}{}`{}`", out.empty() ? "" : ", ", prefix, name);
    return out;
}

TableId TableId::parse(const std::string& project, std::string_view dotted) {
    auto dot = dotted.find('.');
    return {project, std::string(dotted.substr(0, dot)), std::string(dot == dotted.npos ? "" : dotted.substr(dot + 1))};
}

std::string TableId::quoted() const { return fmt::format("`{}.{}.{}`", project, dataset, table); }

std::string TableId::path() const {
    return fmt::format("/datasets/{}/tables/{}", io::escape_url(dataset), io::escape_url(table));
}

std::string TableId::resource() const {
    return fmt::format("projects/{}/datasets/{}/tables/{}", project, dataset, table);
}

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace penstock::bigquery
