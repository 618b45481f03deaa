#include "transform/debezium/envelope.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "flow/change.h"
#include "transform/debezium/connect_schema.h"
#include "transform/debezium/source_block.h"
#include "transform/debezium/value_forms.h"

namespace penstock::debezium {
namespace {

namespace change = flow::change;

/// A stretch of the encoder's buffer.
struct Span {
    size_t from = 0;
    size_t size = 0;
};

int64_t nanos_now() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
}

}  // namespace

class Encoder::Body {
  public:
    Body(const flow::TableInfo& info, const data::Schema& part, EnvelopeOptions options)
        : options_(std::move(options)), width_(info.schema.fields.size()) {
        // In rejects: nothing is rounded or refused.
        EnvelopeOptions exact = options_;
        exact.decimals = Decimals::string;
        exact.times = Times::isostring;
        exact.intervals = Intervals::string;
        for (size_t i = 0; i < width_; ++i) {
            const auto& field = info.schema.fields[i];
            columns_.push_back({.name = json_string(field.name),
                                .label = (i == 0 ? "{" : ",") + json_string(field.name) + ":",
                                .value = value_encoder(field.type, field.source_type, options_),
                                .exact = value_encoder(field.type, field.source_type, exact),
                                .before = part.find(change::before(i))});
            has_before_ = has_before_ || columns_.back().before >= 0;
        }
        for (const auto& name : info.key)
            if (int at = info.schema.find(name); at >= 0) key_.push_back(static_cast<size_t>(at));
        op_ = static_cast<size_t>(part.find(change::op));
        position_ = static_cast<size_t>(part.find(change::position));
        committed_ = static_cast<size_t>(part.find(change::committed_at));
        unchanged_ = part.find(change::unchanged);
        transaction_ = part.find(change::transaction);
        prepare_texts(info);
    }

    Status encode(const data::Block& block, size_t row, std::vector<Message>& out) {
        out.clear();
        text_.clear();
        ChangeRow about = read(block, row);
        Out to{.text = text_};
        Span key, value, other;
        bool keyed = !key_.empty() && about.op != 't';
        if (keyed && !write(key, to, [&] { return write_key(block, row, to); })) return refuse(to, block, row);
        if (!write(value, to, [&] { return write_value(about, block, row, to); })) return refuse(to, block, row);
        size_t pair = keyed ? moved_with(about, block, row) : block.rows;
        if (pair != block.rows && !write(other, to, [&] { return key_payload(block, pair, to); }))
            return refuse(to, block, row);
        Span missing;
        if (!about.unchanged.empty()) write(missing, to, [&] { return write_missing(about.unchanged, to); });
        Message message{.op = about.op,
                        .value = view(value),
                        .position = about.position,
                        .committed_at_ms = floor_millis(about.committed_at)};
        if (keyed) message.key = view(key);
        (about.op == 'd' ? message.new_key : message.old_key) = view(other);
        message.unavailable = view(missing);
        out.push_back(message);
        if (about.op != 'd' || !keyed || !options_.tombstones) return {};
        message.value.reset();
        out.push_back(message);
        return {};
    }

    std::string_view position(const data::Block& block, size_t row) const {
        return text_at(block.columns[position_], row);
    }

    std::string exact_json(const data::Block& block, size_t row, bool key_only) const {
        std::string json;
        Out to{.text = json};
        std::string_view unchanged = unchanged_ < 0 ? "" : text_at(block.columns[static_cast<size_t>(unchanged_)], row);
        auto add = [&](size_t i) {
            if (!unchanged.empty() && unchanged[i] == '1') return;
            json += (json.empty() ? "{" : ",") + columns_[i].name + ":";
            if (!columns_[i].exact->append_nullable(block.columns[i], row, to)) json += "null";
        };
        if (key_only)
            for (size_t i : key_) add(i);
        else
            for (size_t i = 0; i < width_; ++i) add(i);
        return json.empty() ? "" : json + "}";
    }

  private:
    struct ColumnForm {
        std::string name;   ///< JSON
        std::string label;  ///< with what stands before it in an object: ,"name":
        ValueEncoderPtr value;
        ValueEncoderPtr exact;
        int before = -1;  ///< column of its old value
    };

    void prepare_texts(const flow::TableInfo& info) {
        auto parts = parts_of(info);
        auto name = fmt::format("{}.{}.{}", options_.server, parts.schema, parts.table);
        source_.emplace(info, options_);
        std::string row, key;
        for (size_t i = 0; i < width_; ++i) {
            const auto& field = info.schema.fields[i];
            bool of_key = std::ranges::find(key_, i) != key_.end();
            // Without REPLICA IDENTITY FULL a delete tells its key only, and the rest is null.
            bool optional = field.nullable || !(of_key || has_before_);
            row += (i == 0 ? "" : ",") + columns_[i].value->schema(optional, field.name);
        }
        for (size_t i : key_)
            key += (key.empty() ? "" : ",") + columns_[i].value->schema(false, info.schema.fields[i].name);
        if (!options_.schemas) return;
        value_begin_ = R"({"schema":)" + envelope_schema(name, row) + R"(,"payload":)";
        key_begin_ = R"({"schema":)" + key_schema(name, key) + R"(,"payload":)";
    }

    ChangeRow read(const data::Block& block, size_t row) const {
        ChangeRow out{.op = text_at(block.columns[op_], row).front(),
                      .position = text_at(block.columns[position_], row),
                      .committed_at = block.columns[committed_].values<int64_t>()[row]};
        if (unchanged_ >= 0) out.unchanged = text_at(block.columns[static_cast<size_t>(unchanged_)], row);
        if (transaction_ >= 0) {
            const auto& column = block.columns[static_cast<size_t>(transaction_)];
            if (column.valid(row)) out.transaction = column.values<int64_t>()[row];
        }
        return out;
    }

    template <class Write>
    bool write(Span& span, Out& to, Write&& write) {
        span.from = to.text.size();
        bool good = write();
        span.size = to.text.size() - span.from;
        return good;
    }

    std::string_view view(const Span& span) const { return std::string_view(text_).substr(span.from, span.size); }

    bool key_payload(const data::Block& block, size_t row, Out& to) const {
        for (size_t i = 0; i < key_.size(); ++i) {
            const auto& column = columns_[key_[i]];
            to.text += i == 0 ? '{' : ',';
            to.text += column.name;
            to.text += ':';
            if (!column.value->append_nullable(block.columns[key_[i]], row, to)) return named(to, key_[i]);
        }
        to.text += '}';
        return true;
    }

    bool write_key(const data::Block& block, size_t row, Out& to) const {
        to.text += key_begin_;
        if (!key_payload(block, row, to)) return false;
        if (options_.schemas) to.text += '}';
        return true;
    }

    bool write_value(const ChangeRow& about, const data::Block& block, size_t row, Out& to) {
        auto& text = to.text;
        text += value_begin_;
        text += R"({"before":)";
        if (!write_before(about, block, row, to)) return false;
        text += R"(,"after":)";
        bool after = about.op != 'd' && about.op != 't';
        if (!after) text += "null";
        else if (!write_image(block, row, about.unchanged, to)) return false;
        source_->append(about, text);
        int64_t now = nanos_now();
        text += R"(,"op":")";
        text += about.op;
        text += R"(","ts_ms":)";
        append_integer(now / 1'000'000, text);
        text += R"(,"ts_us":)";
        append_integer(now / 1'000, text);
        text += R"(,"ts_ns":)";
        append_integer(now, text);
        text += options_.schemas ? "}}" : "}";
        return true;
    }

    bool write_before(const ChangeRow& about, const data::Block& block, size_t row, Out& to) const {
        if (about.op == 'd') return write_image(block, row, {}, to);
        if (about.op != 'u' || !has_before_) {
            to.text += "null";
            return true;
        }
        for (size_t i = 0; i < width_; ++i) {
            to.text += columns_[i].label;
            const auto& column = block.columns[static_cast<size_t>(columns_[i].before)];
            if (!columns_[i].value->append_nullable(column, row, to)) return named(to, i);
        }
        to.text += '}';
        return true;
    }

    bool write_image(const data::Block& block, size_t row, std::string_view unchanged, Out& to) const {
        for (size_t i = 0; i < width_; ++i) {
            to.text += columns_[i].label;
            if (!unchanged.empty() && unchanged[i] == '1') columns_[i].value->append_unavailable(to.text);
            else if (!columns_[i].value->append_nullable(block.columns[i], row, to)) return named(to, i);
        }
        to.text += '}';
        return true;
    }

    bool write_missing(std::string_view unchanged, Out& to) const {
        char before = '[';
        for (size_t i = 0; i < width_; ++i) {
            if (unchanged[i] != '1') continue;
            to.text += before;
            to.text += columns_[i].name;
            before = ',';
        }
        to.text += ']';
        return true;
    }

    /// The other half of an update that moved its row: the block's neighbour with the same position but for the half.
    size_t moved_with(const ChangeRow& about, const data::Block& block, size_t row) const {
        size_t other = block.rows;
        if (about.op == 'd' && row + 1 < block.rows) other = row + 1;
        if (about.op == 'c' && row > 0) other = row - 1;
        if (other == block.rows) return other;
        ChangeRow neighbour = read(block, other);
        Position here = parse_position(about.position), there = parse_position(neighbour.position);
        bool halves = neighbour.op != about.op && here.commit == there.commit && (here.ordinal ^ there.ordinal) == 1;
        return halves && neighbour.op == (about.op == 'd' ? 'c' : 'd') ? other : block.rows;
    }

    bool named(Out& to, size_t column) const {
        if (refused_.empty()) refused_ = columns_[column].name;
        return to.refusal.empty() && false;
    }

    Status refuse(Out& to, const data::Block& block, size_t row) {
        Error error{.kind = ErrorKind::data,
                    .code = "no_debezium_form",
                    .message = fmt::format("column {}: {}", refused_, to.refusal),
                    .where = exact_json(block, row, true)};
        refused_.clear();
        return fail(std::move(error));
    }

    EnvelopeOptions options_;
    size_t width_;
    std::vector<ColumnForm> columns_;
    std::vector<size_t> key_;
    bool has_before_ = false;
    size_t op_ = 0, position_ = 0, committed_ = 0;
    int unchanged_ = -1, transaction_ = -1;
    std::optional<SourceBlock> source_;
    std::string value_begin_, key_begin_;
    std::string text_;
    mutable std::string refused_;
};

Encoder::Encoder(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

Result<Encoder> Encoder::make(const flow::TableInfo& info, const data::Schema& part, EnvelopeOptions options) {
    for (const char* name : {change::op, change::position, change::committed_at})
        if (part.find(name) < 0)
            return fail({.kind = ErrorKind::configuration,
                         .code = "changes_only",
                         .message = fmt::format(
                             "{} does not come as changes, and only changes are written as envelopes", info.name),
                         .hint = "capture `changes:` of the table"});
    return Encoder(std::make_unique<Body>(info, part, std::move(options)));
}

Status Encoder::encode(const data::Block& block, size_t row, std::vector<Message>& out) {
    return body_->encode(block, row, out);
}
std::string Encoder::row_json(const data::Block& block, size_t row) const {
    return body_->exact_json(block, row, false);
}
std::string_view Encoder::position(const data::Block& block, size_t row) const { return body_->position(block, row); }
std::string Encoder::key_json(const data::Block& block, size_t row) const {
    return body_->exact_json(block, row, true);
}

}  // namespace penstock::debezium
