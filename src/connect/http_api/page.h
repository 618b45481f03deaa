#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "flow/text_store.h"
#include "transform/events/json_cursor.h"
#include "transform/events/json_index.h"

namespace penstock::http_api {

/// The names on the way to a field: "a.b", or "/a/b" (RFC 6901, of objects only). Empty: the whole.
using JsonPath = std::vector<std::string>;
JsonPath json_path(std::string_view text);

/// Where an answer has what.
struct PagePaths {
    std::string records_text;  ///< as written
    JsonPath records;
    bool records_may_be_missing = false;
    JsonPath next;  ///< empty: not looked for
    bool next_of_record = false;
    JsonPath more;
    JsonPath total;
};

/// One answer: a JSON text, of which the records are read in place, one after the other. Never moves: values point into it.
class Page {
  public:
    /// An error of kind `data` says what the text is instead, in words that go behind "page 3 of /users ".
    static Result<std::unique_ptr<Page>> parse(std::string body, const PagePaths& paths, events::JsonIndexer& indexer);
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;

    size_t records = 0;
    std::optional<std::string> next;  ///< nothing where it is missing, null, false or ""
    std::optional<bool> more;
    std::optional<int64_t> total;

    /// Whether a record is left: what comes next in cursor(). To be read whole, or stepped over by a copy.
    bool has_record() const { return read_ < records; }
    events::JsonCursor& cursor() { return *cursor_; }
    /// After a record: to the next one.
    bool step() { return ++read_ == records || cursor_->expect(','); }
    /// 1 for the first.
    size_t number() const { return read_ + 1; }
    std::string_view text() const { return text_; }

  private:
    Page() = default;
    Status look(const PagePaths& paths);
    Status find_records(const PagePaths& paths);
    Status count_records(const PagePaths& paths);
    std::optional<std::string> scalar_at(events::JsonCursor from, const JsonPath& path) const;

    std::string body_;
    std::string_view text_;
    flow::TextStore memory_;
    events::JsonIndex index_;
    std::optional<events::JsonCursor> cursor_;
    std::optional<events::JsonCursor> last_;
    size_t read_ = 0;
};

}  // namespace penstock::http_api
