#include "connect/http_api/page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace penstock::http_api {
namespace {

using events::JsonCursor;

Error bad_page(std::string code, std::string message, std::string hint) {
    return {.kind = ErrorKind::data, .code = std::move(code), .message = std::move(message), .hint = std::move(hint)};
}

Error bad_json(std::string_view why) {
    return bad_page("bad_json", fmt::format("is no valid JSON: {}", why),
                    "ask the API by hand; what comes through a proxy may be cut off or rewritten");
}

std::string_view what_is(JsonCursor& cursor) {
    switch (cursor.peek()) {
        case '{': return "an object";
        case '[': return "a list";
        case '"': return "a text";
        case 'n': return "null";
        case 't':
        case 'f': return "a truth value";
        default: return "a number";
    }
}

/// The first names of an object, for whoever has to say where in it the records are.
std::string names_of(JsonCursor cursor) {
    constexpr size_t most = 12;
    std::vector<std::string> names;
    cursor.object([&](std::string_view raw) {
        if (names.size() == most) return false;
        names.emplace_back(raw.substr(0, 40));
        return cursor.skip();
    });
    return fmt::format("{}", fmt::join(names, ", "));
}

/// RFC 6901: ~1 is a slash, ~0 a tilde.
std::string plain_name(std::string_view name) {
    std::string out;
    for (size_t i = 0; i < name.size(); ++i) {
        bool escape = name[i] == '~' && i + 1 < name.size() && (name[i + 1] == '0' || name[i + 1] == '1');
        out += escape ? (name[i + 1] == '0' ? '~' : '/') : name[i];
        if (escape) ++i;
    }
    return out;
}

Error no_field(const char* option, const JsonPath& path) {
    return bad_page("no_paging_field",
                    fmt::format("has no {}, where `{}` of paging should be", fmt::join(path, "."), option),
                    fmt::format("mend `{}`: without it nobody knows whether pages follow", option));
}

}  // namespace

JsonPath json_path(std::string_view text) {
    JsonPath path;
    bool pointer = text.starts_with('/');
    if (pointer) text.remove_prefix(1);
    else if (text.empty()) return path;
    for (;;) {
        auto end = std::min(text.find(pointer ? '/' : '.'), text.size());
        auto name = text.substr(0, end);
        path.push_back(pointer ? plain_name(name) : std::string(name));
        if (end == text.size()) return path;
        text.remove_prefix(end + 1);
    }
}

Result<std::unique_ptr<Page>> Page::parse(std::string body, const PagePaths& paths, events::JsonIndexer& indexer) {
    std::unique_ptr<Page> page(new Page());
    page->body_ = std::move(body);
    if (page->body_.starts_with("\xEF\xBB\xBF")) page->body_.erase(0, 3);
    size_t size = page->body_.size();
    page->body_.append(flow::text_padding, '\0');
    page->text_ = std::string_view(page->body_).substr(0, size);
    page->index_ = indexer.index(page->text_, page->memory_);
    if (page->index_.fault != nullptr) return fail(bad_json(page->index_.fault));
    PN_CHECK(page->look(paths));
    return page;
}

/// Goes over all of it once for its brackets, so that what was cut off is known before a record is read.
Status Page::look(const PagePaths& paths) {
    JsonCursor whole(text_, index_);
    if (!whole.skip()) return fail(bad_json(whole.fault));
    if (!whole.done()) return fail(bad_json("something stands behind its end"));
    JsonCursor top(text_, index_);
    PN_CHECK(find_records(paths));
    if (!paths.next.empty() && !paths.next_of_record) next = scalar_at(top, paths.next);
    if (!paths.next.empty() && last_) next = scalar_at(*last_, paths.next);
    if (next && (next->empty() || *next == "null" || *next == "false")) next.reset();
    if (!paths.more.empty()) {
        auto said = scalar_at(top, paths.more);
        if (!said) return fail(no_field("more", paths.more));
        more = *said == "true" || *said == "1";
    }
    if (auto said = paths.total.empty() ? std::nullopt : scalar_at(top, paths.total)) {
        int64_t number = 0;
        const char* end = said->data() + said->size();
        if (std::from_chars(said->data(), end, number).ptr == end) total = number;
    }
    return {};
}

Status Page::find_records(const PagePaths& paths) {
    cursor_.emplace(text_, index_);
    for (const auto& name : paths.records) {
        JsonCursor here = *cursor_;
        if (cursor_->enter(name)) continue;
        if (!cursor_->fault.empty()) return fail(bad_json(cursor_->fault));
        if (paths.records_may_be_missing) return {};
        bool object = here.peek() == '{';
        return fail(bad_page(
            "no_records",
            fmt::format("has no {}: there {}{}", paths.records_text, object ? "is an object with the fields " : "is ",
                        object ? names_of(here) : std::string(what_is(here))),
            "mend `records`, or, if the API leaves it out where there are none, add "
            "records_may_be_missing: true"));
    }
    if (cursor_->peek() == 'n' && !paths.records.empty()) return {};  // null for an empty list
    if (cursor_->peek() == '[') return count_records(paths);
    bool object = cursor_->peek() == '{';
    return fail(bad_page("no_records",
                         fmt::format("is no list of records but {}{}", what_is(*cursor_),
                                     object ? " with the fields " + names_of(*cursor_) : ""),
                         object ? "say which of them holds the records: records: items" : "mend `records`"));
}

Status Page::count_records(const PagePaths& paths) {
    JsonCursor all = *cursor_;
    bool good = all.array([&] {
        if (paths.next_of_record) last_ = all;
        ++records;
        return all.skip();
    });
    cursor_->take('[');
    return good ? Status() : fail(bad_json(all.fault));
}

std::optional<std::string> Page::scalar_at(JsonCursor from, const JsonPath& path) const {
    for (const auto& name : path)
        if (!from.enter(name)) return std::nullopt;
    std::string scratch;
    std::string_view text;
    char first = from.peek();
    if (first == '{' || first == '[' || first == '\0') return std::nullopt;
    bool good = first == '"' ? from.string(text) && from.plain(text, scratch) : (text = from.token(), true);
    return good ? std::optional<std::string>(text) : std::nullopt;
}

}  // namespace penstock::http_api
