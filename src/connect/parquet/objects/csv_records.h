#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connect/parquet/objects/content.h"

namespace penstock::parquet {

struct CsvField {
    std::string_view text;  ///< quotes undone
    bool quoted = false;
};

/// A record of CSV. Its texts live until the next one is read.
struct CsvRecord {
    std::vector<CsvField> fields;
    std::string_view raw;  ///< as it stands there, without its end; cut where `fault` is of its size
    int64_t line = 0;      ///< where it begins
    uint64_t bytes = 0;
    const char* fault = nullptr;  ///< why it is none: a sentence's end
    bool too_large = false;
};

/// CSV by RFC 4180: fields in quotes may hold delimiters, line ends and doubled quotes. Lines end with CR LF, LF, or not at all.
/// Lines that are empty are passed over. One thread.
class CsvReader {
  public:
    CsvReader(Content content, char delimiter, size_t most)
        : content_(std::move(content)), delimiter_(delimiter), most_(most) {}

    /// False at the end. Code `object_damaged` where a quoted field has no end: nothing tells where the next record begins.
    Result<bool> next(CsvRecord& record);
    uint64_t bytes_read() const { return content_.bytes_read(); }

  private:
    enum class State { field_begin, plain, quoted, quote_in_quoted, line_end, bad };

    Result<bool> read(CsvRecord& record);
    void take(char c);
    void put(char c);
    void end_field();
    void finish(CsvRecord& record);
    Error open_quote() const;

    Content content_;
    char delimiter_;
    size_t most_;
    std::string_view piece_;
    size_t at_ = 0;
    int64_t line_ = 1;

    State state_ = State::field_begin;
    const char* fault_ = nullptr;
    int64_t quote_line_ = 0;
    std::string raw_;
    std::string text_;
    struct Part {
        size_t begin, end;
        bool quoted;
    };
    std::vector<Part> parts_;
    size_t part_begin_ = 0;
    bool part_quoted_ = false;
    uint64_t bytes_ = 0;
};

}  // namespace penstock::parquet
