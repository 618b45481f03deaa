#include "connect/parquet/objects/csv_records.h"

#include <fmt/format.h>

namespace penstock::parquet {

Error CsvReader::open_quote() const {
    return object_damaged(content_.url(),
                          fmt::format("the quote that is opened in line {} is not closed", quote_line_));
}

Result<bool> CsvReader::next(CsvRecord& record) {
    do {
        PN_TRY(bool more, read(record));
        if (!more) return false;
    } while (record.raw.empty() && record.bytes == 0);
    return true;
}

Result<bool> CsvReader::read(CsvRecord& record) {
    record = {.line = line_};
    raw_.clear(), text_.clear(), parts_.clear();
    state_ = State::field_begin;
    fault_ = nullptr;
    part_begin_ = 0, part_quoted_ = false, bytes_ = 0;
    for (;;) {
        if (at_ == piece_.size()) {
            PN_TRY(piece_, content_.next());
            at_ = 0;
            if (piece_.empty()) {
                if (state_ == State::quoted) return fail(open_quote());
                if (bytes_ == 0) return false;
                finish(record);
                return true;
            }
            continue;
        }
        char c = piece_[at_++];
        if (c == '\n') ++line_;
        if (c == '\n' && state_ != State::quoted) {
            finish(record);
            return true;
        }
        ++bytes_;
        if (raw_.size() <= most_) raw_ += c;
        take(c);
    }
}

void CsvReader::take(char c) {
    switch (state_) {
        case State::field_begin:
            if (c == '"') {
                state_ = State::quoted;
                part_quoted_ = true;
                quote_line_ = line_;
                return;
            }
            state_ = State::plain;
            [[fallthrough]];
        case State::plain:
            if (c == delimiter_) return end_field();
            if (c == '"') fault_ = "a quote stands within a field that is not quoted", state_ = State::bad;
            put(c);
            return;
        case State::quoted:
            if (c == '"') state_ = State::quote_in_quoted;
            else put(c);
            return;
        case State::quote_in_quoted:
            if (c == '"') put(c), state_ = State::quoted;
            else if (c == delimiter_) end_field();
            else if (c == '\r') state_ = State::line_end;
            else fault_ = "something stands behind a quoted field", state_ = State::bad;
            return;
        case State::line_end: fault_ = "something stands behind a quoted field", state_ = State::bad; return;
        case State::bad: return;
    }
}

/// Of a record that is too large the rest is read for its end alone.
void CsvReader::put(char c) {
    if (bytes_ <= most_) text_ += c;
}

void CsvReader::end_field() {
    if (bytes_ <= most_ || parts_.empty()) parts_.push_back({part_begin_, text_.size(), part_quoted_});
    part_begin_ = text_.size();
    part_quoted_ = false;
    state_ = State::field_begin;
}

void CsvReader::finish(CsvRecord& record) {
    if (raw_.ends_with('\r') && raw_.size() == bytes_) {
        // It is no part of the last field: of one in quotes take() has left it out, as it has what is beyond `most`.
        if (state_ == State::plain && bytes_ <= most_) text_.pop_back();
        raw_.pop_back();
        --bytes_;
    }
    end_field();
    for (const auto& part : parts_)
        record.fields.push_back({std::string_view(text_).substr(part.begin, part.end - part.begin), part.quoted});
    record.raw = raw_;
    record.bytes = bytes_;
    record.fault = fault_;
    record.too_large = bytes_ > most_;
}

}  // namespace penstock::parquet
