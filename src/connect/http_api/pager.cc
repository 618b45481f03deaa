#include "connect/http_api/pager.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/digest.h"
#include "io/url.h"

namespace penstock::http_api {
namespace {

std::unexpected<Error> refuse(std::string code, std::string message, std::string hint) {
    return fail(
        {.kind = ErrorKind::data, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)});
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

/// Without the port that goes without saying.
std::string whole_origin(const io::Origin& origin) {
    std::string text = origin.text;
    std::string_view usual = origin.encrypted ? ":443" : ":80";
    if (text.ends_with(usual)) text.resize(text.size() - usual.size());
    return text;
}

/// Whether the parameters of a link (behind the URL) have rel="next" among its relations.
bool is_next(std::string_view params) {
    auto text = lower(params);
    for (size_t at = text.find("rel"); at != text.npos; at = text.find("rel", at + 3)) {
        size_t equals = text.find_first_not_of(" \t", at + 3);
        if (equals == text.npos || text[equals] != '=') continue;
        size_t begin = text.find_first_not_of(" \t", equals + 1);
        if (begin == text.npos) return false;
        bool quoted = text[begin] == '"';
        size_t end = quoted ? text.find('"', begin + 1) : text.find_first_of("; \t,", begin);
        auto value =
            " " + text.substr(begin + (quoted ? 1 : 0), end == text.npos ? text.npos : end - begin - (quoted ? 1 : 0)) +
            " ";
        if (value.find(" next ") != value.npos) return true;
    }
    return false;
}

}  // namespace

bool same_origin(const std::string& a, const std::string& b) {
    auto one = io::origin_of(a), other = io::origin_of(b);
    return one && other && whole_origin(*one) == whole_origin(*other);
}

std::string with_param(std::string url, const std::string& name, const std::string& value) {
    url += url.find('?') == url.npos ? '?' : '&';
    return url + io::escape_url(name) + "=" + io::escape_url(value);
}

std::string next_link(const std::string& header) {
    for (size_t at = header.find('<'); at != header.npos;) {
        size_t close = header.find('>', at);
        if (close == header.npos) return "";
        // Parameters go up to the next link, which begins with a comma and a bracket.
        size_t next = header.find('<', close);
        auto params = std::string_view(header).substr(close + 1, next == header.npos ? header.npos : next - close - 1);
        if (is_next(params)) return header.substr(at + 1, close - at - 1);
        at = next;
    }
    return "";
}

Pager::Pager(const PagingOptions& options, std::string url) : options_(options), base_(std::move(url)) {
    if (options.size) base_ = with_param(base_, options.size_param.value, std::to_string(*options.size));
    at_ = options.first.value_or(options.by == PagingBy::page ? 1 : 0);
    bool counted = options.by == PagingBy::page || options.by == PagingBy::offset;
    url_ = counted ? with(std::to_string(at_)) : base_;
    seen_.insert(sha256_hex(url_));
}

std::string Pager::with(const std::string& value) const { return with_param(base_, options_.param.value, value); }

Result<bool> Pager::advance(const Page& page, const io::Response& answer, const std::string& digest) {
    bool found = false;
    if (!options_.more.empty() && !page.more.value_or(false)) return false;
    switch (options_.by) {
        case PagingBy::none: return false;
        case PagingBy::page:
        case PagingBy::offset: {
            PN_TRY(found, count_on(page, digest));
            break;
        }
        case PagingBy::token:
        case PagingBy::record: {
            PN_TRY(found, hand_back(page));
            break;
        }
        case PagingBy::link: {
            PN_TRY(found, go_to(next_link(answer.header("link"))));
            break;
        }
        case PagingBy::url: {
            PN_TRY(found, go_to(page.next.value_or("")));
            break;
        }
    }
    if (!found) return false;
    if (++number_ <= options_.max_pages) return true;
    return refuse("too_many_pages", fmt::format("there are more than {} pages", options_.max_pages),
                  "raise `max_pages` of paging, or ask for larger pages");
}

Result<bool> Pager::count_on(const Page& page, const std::string& digest) {
    if (page.records == 0) return false;
    if (options_.short_page_ends && static_cast<int64_t>(page.records) < *options_.size) return false;
    if (digest == last_digest_)
        return refuse("same_page_again",
                      fmt::format("page {} is the same as the one before: the API does not seem to know parameter {}",
                                  number_, options_.param.value),
                      "mend `param` of paging, or choose the way in which this API divides its answers");
    last_digest_ = digest;
    at_ += options_.by == PagingBy::page ? 1 : static_cast<int64_t>(page.records);
    url_ = with(std::to_string(at_));
    return true;
}

Result<bool> Pager::hand_back(const Page& page) {
    if (!page.next) return false;
    return once(options_.by == PagingBy::record ? "record's value" : "token", with(*page.next));
}

Result<bool> Pager::go_to(const std::string& reference) {
    if (reference.empty()) return false;
    auto next = io::resolve_url(url_, reference);
    if (!next)
        return refuse("bad_next_url", fmt::format("what names the page behind page {} is no URL", number_),
                      "ask the API by hand");
    if (same_origin(*next, base_)) return once("URL", std::move(*next));
    auto origin = io::origin_of(*next);
    return refuse(
        "next_page_elsewhere",
        fmt::format("page {} says that the next one is at {}, which is not the connection's host", number_,
                    origin ? origin->text : std::string("no HTTP URL")),
        "if it is the same API, write that scheme and host into `url` of the connection; an API behind a proxy "
        "has to be told its own name");
}

Result<bool> Pager::once(const std::string& what, std::string url) {
    if (!seen_.insert(sha256_hex(url)).second)
        return refuse("paging_loops",
                      fmt::format("page {} names a next page that was read before, by the same {}", number_, what),
                      "the API's answers go round in a circle, or `next` of paging is not what names the next page");
    url_ = std::move(url);
    return true;
}

}  // namespace penstock::http_api
