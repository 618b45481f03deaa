#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/error.h"
#include "connect/http_api/page.h"
#include "connect/http_api/source_options.h"
#include "io/http.h"

namespace penstock::http_api {

/// Says which URL is asked for next. Every rule has its own way to loop for ever, and each is noticed: a token or URL that was
/// there before, a page that is the one before.
class Pager {
  public:
    /// `url` without what says which page; its host is the only one that pages may be on.
    Pager(const PagingOptions& options, std::string url);

    /// Of the page wanted now.
    const std::string& url() const { return url_; }
    /// Its number: 1, 2, …
    int64_t number() const { return number_; }
    /// Whether there is a page behind this one; url() is then its. `answer` is what the page was parsed from, without body;
    /// `digest` tells bodies apart.
    Result<bool> advance(const Page& page, const io::Response& answer, const std::string& digest);

  private:
    std::string with(const std::string& value) const;
    Result<bool> count_on(const Page& page, const std::string& digest);
    Result<bool> hand_back(const Page& page);
    Result<bool> go_to(const std::string& reference);
    Result<bool> once(const std::string& what, std::string url);

    const PagingOptions& options_;
    std::string base_;
    std::string url_;
    int64_t number_ = 1;
    int64_t at_ = 0;
    std::string last_digest_;
    std::set<std::string> seen_;  ///< digests of tokens and URLs
};

/// The part of a Link header (RFC 8288) with rel="next"; "" where there is none.
std::string next_link(const std::string& header);

/// "https://h:443" and "https://h" are one.
bool same_origin(const std::string& a, const std::string& b);

/// An URL with one more parameter.
std::string with_param(std::string url, const std::string& name, const std::string& value);

}  // namespace penstock::http_api
