#include <utility>

#include "connect/parquet/objects/records.h"

namespace penstock::parquet {
namespace {

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

class LineRecords : public Records {
  public:
    LineRecords(Content content, size_t most) : content_(std::move(content)), most_(most) {}

    Result<bool> next(Record& record) override {
        do {
            PN_TRY(bool more, line(record));
            if (!more) return false;
            ++number_;
            if (record.text.ends_with('\r')) record.text.remove_suffix(1);
        } while (blank(record.text) && !record.cut);
        record.number = number_;
        if (!record.cut) record.bytes = record.text.size();
        return true;
    }

    uint64_t bytes_read() const override { return content_.bytes_read(); }

  private:
    Result<bool> line(Record& record) {
        record = {};
        for (size_t from = at_;;) {
            auto end = text_.find('\n', from);
            if (end != text_.npos) {
                record.text = std::string_view(text_).substr(at_, end - at_);
                at_ = end + 1;
                return true;
            }
            if (text_.size() - at_ > most_ + 1) return cut(record);
            text_.erase(0, std::exchange(at_, 0));
            from = text_.size();
            PN_TRY(auto more, content_.next());
            text_ += more;
            if (!more.empty()) continue;
            record.text = text_;
            at_ = text_.size();
            return !text_.empty();
        }
    }

    /// Passes over the rest of a line that is too long; of one that is blank nothing is left.
    Result<bool> cut(Record& record) {
        kept_ = text_.substr(at_, most_ + 1);
        record = {.text = kept_, .bytes = text_.size() - at_, .cut = true};
        bool is_blank = blank(std::string_view(text_).substr(at_));
        text_.clear();
        at_ = 0;
        for (;;) {
            PN_TRY(auto more, content_.next());
            auto end = more.find('\n');
            auto rest = more.substr(0, end);
            record.bytes += rest.size();
            is_blank = is_blank && blank(rest);
            if (end == more.npos && !more.empty()) continue;
            if (end != more.npos) text_ = more.substr(end + 1);
            if (is_blank) record = {};
            return true;
        }
    }

    Content content_;
    size_t most_;
    std::string text_;
    size_t at_ = 0;
    std::string kept_;
    int64_t number_ = 0;
};

}  // namespace

std::unique_ptr<Records> line_records(Content content, size_t most) {
    return std::make_unique<LineRecords>(std::move(content), most);
}

}  // namespace penstock::parquet
