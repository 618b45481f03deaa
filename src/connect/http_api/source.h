#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connect/http_api/client.h"
#include "connect/http_api/cursor.h"
#include "connect/http_api/feed.h"
#include "connect/http_api/source_options.h"
#include "flow/component.h"
#include "flow/source.h"

namespace penstock::http_api {

/// What a source works from; copied out of the configuration.
struct SourceSettings {
    ConnectionOptions connection;
    SourceOptions source;
    uint64_t memory_bytes = 0;
    std::vector<std::string> key;  ///< of the target, to name refused records
    flow::ReadBounds bounds;
};

/// The records of an API as one table, each run one commit:
///
///     discover   the schema's columns; nobody is asked
///     open       what time it is
///     next       pages: asked for -> understood (page.h) -> next one named (pager.h)
///                records decoded where they stand, while the sink pulls
///
/// Nothing is committed before the last page has come, so that a run that ends on the way has done nothing, and the next one
/// asks for the same again.
class Source : public flow::Source {
  public:
    explicit Source(SourceSettings settings) : settings_(std::move(settings)) {}

    /// The schema's file and what refers to it.
    static Status check(const SourceOptions& options);

    Result<std::vector<flow::TableInfo>> discover(std::stop_token stop) override;
    Status open(std::vector<flow::TableRead> tables) override;
    Result<std::optional<flow::Segment>> next() override;
    Status confirm(size_t, const flow::Checkpoint&) override { return {}; }

    /// Asks for the first page.
    Result<std::vector<flow::Finding>> examine(std::stop_token stop);

  private:
    Status check_bounds() const;
    Result<std::string> cursor_of(const flow::TableRead& wanted) const;
    Result<std::optional<data::Int128>> bound(const std::string& text) const;
    std::string url(const std::string& since) const;
    std::string sequence() const;
    Result<flow::Segment> segment_of(const flow::TableRead& wanted);

    SourceSettings settings_;
    std::unique_ptr<Client> client_;
    std::optional<events::EventTable> table_;
    Cursor cursor_;
    std::vector<flow::TableRead> wanted_;
    TimePoint opened_{};
};

}  // namespace penstock::http_api
