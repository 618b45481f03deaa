#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/bigquery/types.h"
#include "engine/database.h"

namespace penstock::bigquery {

/// A message of Arrow's, and how many rows are in it.
struct ArrowMessage {
    std::string bytes;
    int64_t rows = 0;
};

/// "AppendRows": a request has less than 10 MB; what is beside the rows in it has less than the difference.
inline constexpr int64_t most_message_bytes = 9'500'000;
/// Of these, what is around a row's own bytes: lengths, and the alignment of each of its parts.
inline constexpr int64_t message_frame = 300'000;

/// The rows of one staged file as the Storage Write API takes them: Arrow record batches, none larger than a request may be.
class ArrowRows {
  public:
    /// `columns` are the file's; rows in which the one named `mark` ("": none) is not NULL are left out, and so is the column.
    /// The connection is taken until this is destroyed.
    static Result<ArrowRows> open(engine::Connection& connection, const std::filesystem::path& file,
                                  std::vector<Column> columns, const std::string& mark);
    ArrowRows(ArrowRows&& other) noexcept;
    ArrowRows& operator=(ArrowRows&&) = delete;
    ~ArrowRows();

    /// As Arrow's IPC writes it.
    const std::string& schema() const;
    /// Nothing at the end.
    Result<std::optional<ArrowMessage>> next();

  private:
    struct State;
    explicit ArrowRows(std::unique_ptr<State> state);
    Status gather();

    std::unique_ptr<State> state_;
    std::deque<ArrowMessage> ready_;
};

}  // namespace penstock::bigquery
