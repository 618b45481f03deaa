#include "connect/http_api/feed.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/log.h"

namespace penstock::http_api {
namespace {

PagePaths paths_of(const SourceOptions& options) {
    return {.records_text = options.records.value,
            .records = json_path(options.records.value),
            .records_may_be_missing = options.records_may_be_missing,
            .next = json_path(options.paging.next.value),
            .next_of_record = options.paging.by == PagingBy::record,
            .more = json_path(options.paging.more.value),
            .total = json_path(options.paging.total.value)};
}

bool looks_like_a_web_page(const io::Response& answer) {
    if (answer.header("content-type").starts_with("text/html")) return true;
    auto begin = answer.body.find_first_not_of(" \t\r\n");
    return begin != answer.body.npos && answer.body[begin] == '<';
}

Error moved(std::string why) {
    return {.kind = ErrorKind::unavailable,
            .code = "changed_while_read",
            .message = std::move(why) + ": pages have moved while they were read, and records may be missing",
            .hint = "it is read anew; where the API can, sort by something that does not change, or page by a token"};
}

}  // namespace

Feed::Feed(Client& client, const SourceOptions& options, std::string url)
    : client_(client), options_(options), paths_(paths_of(options)), pager_(options.paging, std::move(url)) {}

std::string Feed::what() const { return what_; }

Result<std::unique_ptr<Page>> Feed::next() {
    if (ended_) return nullptr;
    what_ = fmt::format("{}, page {}", options_.path.value, pager_.number());
    auto end_status = pager_.number() > 1 ? options_.paging.end_status : std::vector<int64_t>();
    PN_TRY(auto answer,
           client_.get(pager_.url(), what_, end_status, [this](io::Response& said) { return look(said); }));
    if (looked_ == nullptr) {  // by its status it is the end
        ended_ = true;
        PN_CHECK(check_count());
        return nullptr;
    }
    auto page = std::move(looked_);
    PN_CHECK(watch(*page));
    PN_CHECK(turn(*page, answer));
    return page;
}

/// Within the repetitions of a request: what was cut off or comes from a proxy's error page may be whole another time.
Status Feed::look(io::Response& answer) {
    looked_.reset();
    auto refuse = [&](std::string code, std::string message, std::string hint) {
        return fail({.kind = ErrorKind::data,
                     .code = std::move(code),
                     .message = fmt::format("{} {}", what_, message),
                     .hint = std::move(hint)});
    };
    if (looks_like_a_web_page(answer))
        return refuse("web_page", fmt::format("is a web page and no JSON, although the API answered {}", answer.status),
                      "it may be a page to log in by, or of a proxy: check `url`, `path` and `auth`");
    if (answer.body.empty())
        return refuse("empty_answer", fmt::format("is empty, although the API answered {}", answer.status),
                      "check `path`: an API without records answers an empty list");
    bytes_ += static_cast<int64_t>(answer.body.size());
    bool counted = options_.paging.by == PagingBy::page || options_.paging.by == PagingBy::offset;
    digest_ = counted ? sha256_hex(answer.body) : "";
    auto page = Page::parse(std::move(answer.body), paths_, indexer_);
    if (!page) {
        auto error = std::move(page.error());
        return refuse(std::move(error.code), std::move(error.message), std::move(error.hint));
    }
    looked_ = std::move(*page);
    return {};
}

Status Feed::watch(const Page& page) {
    records_ += static_cast<int64_t>(page.records);
    if (options_.paging.total.empty()) return {};
    if (!page.total && !total_)
        return fail({.kind = ErrorKind::data,
                     .code = "no_paging_field",
                     .message = fmt::format("{} has no number at {}, where `total` of paging should be", what_,
                                            options_.paging.total.value),
                     .hint = "mend `total`, or leave it out"});
    if (page.total && total_ && *page.total < *total_)
        return fail(moved(fmt::format("{} says that there are {} records, and an earlier page said {}", what_,
                                      *page.total, *total_)));
    if (page.total) total_ = page.total;
    return {};
}

Status Feed::turn(const Page& page, const io::Response& answer) {
    bool first = pager_.number() == 1;
    auto more = pager_.advance(page, answer, digest_);
    if (!more) {
        auto error = std::move(more.error());
        error.where = options_.path.value;
        return fail(std::move(error));
    }
    ended_ = !*more;
    if (!ended_) return {};
    const auto& size = options_.paging.size;
    bool full = first && size && static_cast<int64_t>(page.records) >= *size && options_.paging.more.empty();
    if (full && options_.paging.by != PagingBy::none)
        log::warning(
            "{} has all {} records that were asked for and names no next page: is there none, or is `paging` to be "
            "mended?",
            what_, page.records);
    return check_count();
}

Status Feed::check_count() const {
    if (!total_ || records_ >= *total_) return {};
    return fail(moved(fmt::format("{} was the last page, and {} records came of {}", what_, records_, *total_)));
}

}  // namespace penstock::http_api
