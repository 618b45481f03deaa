#pragma once

#include <memory>
#include <optional>
#include <string>

#include "connect/http_api/client.h"
#include "connect/http_api/page.h"
#include "connect/http_api/pager.h"
#include "connect/http_api/source_options.h"

namespace penstock::http_api {

/// The pages of one table, one after the other: asked for, understood, and watched for signs that they moved meanwhile.
/// One thread; two pages are in memory at most.
class Feed {
  public:
    /// `url` is that of the first page without what says so. All outlive the feed.
    Feed(Client& client, const SourceOptions& options, std::string url);

    /// The next page, or null behind the last.
    Result<std::unique_ptr<Page>> next();
    /// Of the page that next() gave: "/users, page 3".
    std::string what() const;
    /// Bytes of the answers so far, unpacked.
    int64_t take_bytes() { return std::exchange(bytes_, 0); }
    /// Whether a page follows the one that next() gave.
    bool ended() const { return ended_; }

  private:
    Status look(io::Response& answer);
    Status watch(const Page& page);
    Status turn(const Page& page, const io::Response& answer);
    Status check_count() const;

    Client& client_;
    const SourceOptions& options_;
    PagePaths paths_;
    Pager pager_;
    events::JsonIndexer indexer_;
    std::unique_ptr<Page> looked_;
    std::string digest_;
    std::string what_;
    std::optional<int64_t> total_;
    int64_t records_ = 0;
    int64_t bytes_ = 0;
    bool ended_ = false;
};

}  // namespace penstock::http_api
