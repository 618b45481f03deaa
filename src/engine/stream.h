#pragma once

#include <duckdb.h>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/error.h"
#include "engine/database.h"

namespace penstock::engine {

struct ChunkDelete {
    void operator()(duckdb_data_chunk chunk) const { duckdb_destroy_data_chunk(&chunk); }
};
using Chunk = std::unique_ptr<_duckdb_data_chunk, ChunkDelete>;

/// A result that is read while the query runs, so that its size is no matter. One thread at a time; nothing else may be asked of
/// the connection until it is gone. Chunks have flat vectors, as take() wants them.
class Stream {
  public:
    static Result<Stream> open(Connection& connection, const std::string& sql);
    Stream(Stream&&) noexcept;
    ~Stream();

    /// The next rows, or null at the end.
    Result<Chunk> next();

  private:
    struct Running;
    explicit Stream(std::unique_ptr<Running> running);
    std::unique_ptr<Running> running_;
};

}  // namespace penstock::engine
