#include "connect/http_api/scan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/failpoint.h"
#include "base/log.h"
#include "transform/events/document_reader.h"

namespace penstock::http_api {
namespace {

/// The key's fields of a record as a JSON object, "" where it has none or is none.
std::string key_of(std::string_view record, const std::vector<std::string>& key) {
    if (key.empty()) return "";
    auto json = nlohmann::ordered_json::parse(record, nullptr, false);
    nlohmann::ordered_json out;
    for (const auto& name : key)
        if (json.is_object() && json.contains(name)) out[name] = json[name];
    return out.is_null() ? "" : out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

class RecordReader : public flow::ScanReader {
  public:
    /// Of a scan whose rows others take, there are none.
    RecordReader(RecordScan& scan, bool idle)
        : scan_(scan), plan_(scan.plan_), reader_(scan.plan_.table), left_(scan.plan_.limit), done_(idle) {}

    Status fill(data::Block& block) override {
        while (block.rows == 0 && !done_) {
            if (plan_.context.stop.stop_requested())
                return fail({.kind = ErrorKind::interrupted, .code = "interrupted", .message = "reading was stopped"});
            if (page_ == nullptr || !page_->has_record()) {
                PN_CHECK(turn());
                continue;
            }
            PN_CHECK(take_records(block));
        }
        if (block.rows > 0) PN_FAILPOINT(source_read_during);
        return {};
    }

  private:
    /// Values of the block that was given last point into the page, which goes only now.
    Status turn() {
        page_.reset();
        PN_TRY(page_, scan_.feed_->next());
        plan_.context.progress.bytes_read += scan_.feed_->take_bytes();
        done_ = page_ == nullptr;
        if (done_ && older_ > 0)
            log::warning("{}: {} records are older than what the API was asked for: does it know `cursor_param`?",
                         plan_.table.info.name, older_);
        return {};
    }

    Status take_records(data::Block& block) {
        while (block.rows < data::block_rows && page_->has_record() && left_ != 0) {
            PN_CHECK(take(block));
            if (page_->step()) continue;
            return fail(broken(page_->cursor().fault));
        }
        done_ = left_ == 0;
        return {};
    }

    Status take(data::Block& block) {
        auto& cursor = page_->cursor();
        auto before = cursor;
        events::Refusal refusal;
        bool good = cursor.peek() == '{' && reader_.read_next(cursor, block, refusal);
        if (good && !watch(block)) return {};
        plan_.context.progress.rows_read += 1;
        if (left_ > 0) --left_;
        return good ? Status() : refuse(before, std::move(refusal));
    }

    /// False for a record that is not among those wanted, which is taken back.
    bool watch(data::Block& block) {
        if (!plan_.cursor.any()) return true;
        auto value = plan_.cursor.at(block, block.rows - 1);
        bool bounded = plan_.least || plan_.most;
        bool outside = value ? (plan_.least && *value < *plan_.least) || (plan_.most && *value > *plan_.most) : bounded;
        if (outside) events::DocumentReader::take_back(block);
        else if (value && plan_.asked && *value < *plan_.asked) ++older_;
        else if (value && (!scan_.largest_ || *value > *scan_.largest_)) scan_.largest_ = value;
        return !outside;
    }

    Status refuse(events::JsonCursor from, events::Refusal refusal) {
        std::string_view record;
        if (from.peek() != '{')
            refusal = {.column = "", .path = "", .code = "not_an_object", .reason = "the record is no JSON object"};
        if (!from.value(record)) return fail(broken(from.fault));
        page_->cursor() = from;
        plan_.context.progress.rows_rejected += 1;
        std::string reason = std::move(refusal.reason);
        if (!refusal.path.empty()) reason = fmt::format("{}: {}", refusal.path, reason);
        return plan_.context.rejects.add(
            {.table = plan_.table.info.name,
             .source_position = fmt::format("{}, record {}", scan_.feed_->what(), page_->number()),
             .key = key_of(record, plan_.key),
             .column = std::move(refusal.column),
             .code = std::move(refusal.code),
             .reason = std::move(reason),
             .payload = std::string(record),
             .received_at = now()});
    }

    Error broken(std::string_view why) const {
        return {.kind = ErrorKind::data,
                .code = "bad_json",
                .message = fmt::format("{} is no valid JSON: {}", scan_.feed_->what(), why),
                .hint = "ask the API by hand; what comes through a proxy may be rewritten"};
    }

    RecordScan& scan_;
    RecordPlan& plan_;
    events::DocumentReader reader_;
    std::unique_ptr<Page> page_;
    int64_t left_;
    int64_t older_ = 0;
    bool done_;
};

Result<std::unique_ptr<flow::ScanReader>> RecordScan::reader() {
    bool idle = std::exchange(taken_, true);
    return std::make_unique<RecordReader>(*this, idle);
}

}  // namespace penstock::http_api
