#include "transform/debezium/decode.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "flow/change.h"
#include "transform/debezium/decode_value.h"

namespace penstock::debezium {
namespace {

namespace ondemand = simdjson::ondemand;
static_assert(padding >= simdjson::SIMDJSON_PADDING);

constexpr size_t change_columns = 5;  // before the origins

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

class Decoder::Body {
  public:
    explicit Body(const EventTable& table) : table_(table), names_(table.columns.size()) {
        for (size_t i = 0; i < names_.size(); ++i) names_[i] = table.columns[i].field.name;
        seen_.resize(names_.size());
        unsent_.resize(names_.size());
    }

    Outcome decode(const Event& event, data::Block& block, Refusal& refusal) {
        block_ = &block;
        event_ = &event;
        refusal_ = &refusal;
        refusal = {};
        if (event.value.empty()) {
            committed_ = event.received_micros;
            return key_row('d') ? Outcome::rows : Outcome::refused;
        }
        return envelope();
    }

  private:
    bool refuse(std::string code, std::string reason, std::string column = "") {
        *refusal_ = {.column = std::move(column), .code = std::move(code), .reason = std::move(reason)};
        return false;
    }
    bool broken(simdjson::error_code error) {
        return refuse("bad_json", fmt::format("the event is no valid JSON: {}", simdjson::error_message(error)));
    }

    /// The whole text as one object.
    bool open(ondemand::parser& parser, std::string_view json, ondemand::document& document, ondemand::object& object) {
        auto error = parser.iterate(json, json.size() + padding).get(document);
        if (!error) error = document.get_object().get(object);
        std::string_view whole;
        if (!error) error = object.raw_json().get(whole);
        if (error) return broken(error);
        const char* end = whole.data() + whole.size();
        while (end < json.data() + json.size() && is_space(*end)) ++end;
        if (end != json.data() + json.size()) return refuse("bad_json", "something stands behind the event");
        // Read on demand, a fault would be met halfway, and what the parser says of the rest then means nothing.
        simdjson::dom::element checked;
        if (auto fault = whole_parser_.parse(json.data(), json.size(), false).get(checked)) return broken(fault);
        bool filled = false;
        if (auto failed = object.reset().get(filled)) return broken(failed);
        return true;
    }

    /// After a fault in the JSON nothing of the document may be asked any more.
    bool alive() { return document_->is_alive() || refuse("bad_json", "the event is no valid JSON"); }

    Outcome envelope() {
        ondemand::document document;
        ondemand::object root;
        if (!open(parser_, event_->value, document, root)) return Outcome::refused;
        document_ = &document;
        std::string_view op;
        if (root.find_field_unordered("op").get_string().get(op) != simdjson::SUCCESS || op.size() != 1) {
            refuse("not_an_envelope", "the event has no `op`: it is no change event of Debezium");
            return Outcome::refused;
        }
        char kind = op[0];
        if (kind == 'm') return Outcome::nothing;
        if (!read_time(root)) return Outcome::refused;
        return change(kind, root) ? Outcome::rows : Outcome::refused;
    }

    bool read_time(ondemand::object& root) {
        ondemand::object source;
        committed_ = event_->received_micros;
        if (root.find_field_unordered("source").get_object().get(source) != simdjson::SUCCESS)
            return refuse("not_an_envelope", "the event has no `source`");
        int64_t value = 0;
        if (source.find_field_unordered("ts_us").get_int64().get(value) == simdjson::SUCCESS) committed_ = value;
        else if (!alive()) return false;
        else if (source.find_field_unordered("ts_ms").get_int64().get(value) == simdjson::SUCCESS)
            committed_ = value * 1000;
        return true;
    }

    bool change(char op, ondemand::object& root) {
        if (op == 'c' || op == 'r') return whole_row(op, root, "after", 0);
        if (op == 't') return describe('t', empty_row(), 0);
        if (op == 'd') return table_.key.empty() ? whole_row('d', root, "before", 0) : key_row('d');
        if (op != 'u') return refuse("unknown_op", fmt::format("the event's op is '{}'", op));
        if (!table_.key.empty()) return whole_row('u', root, "after", 0);
        if (!whole_row('d', root, "before", 0)) return false;
        if (whole_row('c', root, "after", 1)) return true;
        --block_->rows;
        return false;
    }

    size_t empty_row() {
        size_t row = block_->rows;
        for (size_t i = 0; i < names_.size(); ++i) block_->columns[i].set_null(row);
        return row;
    }

    bool whole_row(char op, ondemand::object& root, const char* side, uint64_t ordinal) {
        if (!alive()) return false;
        ondemand::object fields;
        if (root.find_field_unordered(side).get_object().get(fields) != simdjson::SUCCESS)
            return refuse(
                "no_row",
                fmt::format("the event has no `{}`{}", side,
                            side[0] == 'b' ? ": the table has no key, and REPLICA IDENTITY FULL is needed" : ""));
        size_t row = empty_row();
        lacks_ = op == 'u' || (op == 'c' && event_->moved);
        if (!read_fields(fields, row, op != 'd')) return false;
        if (any_unsent_ && op == 'c' && event_->identity == 0)
            return refuse("moved_unsent",
                          "the row came from another key with values that were not sent, and what it was "
                          "there is in another partition");
        return describe(op, row, ordinal);
    }

    bool read_fields(ondemand::object& fields, size_t row, bool required) {
        std::ranges::fill(seen_, false);
        std::ranges::fill(unsent_, '0');
        any_unsent_ = false;
        size_t next = 0;
        for (auto entry : fields) {
            ondemand::field field;
            if (auto error = std::move(entry).get(field)) return broken(error);
            size_t column = 0;
            if (!find(field, next, column)) return false;
            if (column == names_.size()) continue;
            next = column + 1;
            if (seen_[column]) return refuse("duplicate_field", "the field stands twice in the row", names_[column]);
            seen_[column] = true;
            if (!read_field(field.value(), column, row)) return false;
        }
        for (size_t i = 0; i < names_.size() && required; ++i) {
            const auto& about = table_.columns[i].field;
            bool null = !block_->columns[i].valid(row) && unsent_[i] == '0';
            if (!seen_[i] && !(about.nullable && table_.with_schema))
                return refuse("missing_field", "the row has no such field", about.name);
            if (null && !about.nullable)
                return refuse("null_in_required", "null, though the events' schema says that it is never", about.name);
        }
        return true;
    }

    bool find(ondemand::field& field, size_t next, size_t& column) {
        const char* raw = field.key().raw();
        if (next < names_.size()) {
            const auto& name = names_[next];
            if (std::memcmp(raw, name.data(), std::min(name.size(), left(raw))) == 0 && raw[name.size()] == '"')
                return column = next, true;
        }
        std::string_view key;
        if (auto error = field.unescaped_key().get(key)) return broken(error);
        column = static_cast<size_t>(std::ranges::find(names_, key) - names_.begin());
        return true;
    }

    size_t left(const char* at) const {
        return static_cast<size_t>(event_->value.data() + event_->value.size() + padding - at);
    }

    bool read_field(ondemand::value value, size_t column, size_t row) {
        const auto& shape = table_.columns[column];
        if (lacks_ && not_sent(shape, value)) {
            block_->columns[column].set_null(row);
            unsent_[column] = '1';
            any_unsent_ = true;
            return true;
        }
        ValueContext context{.block = *block_, .options = table_.options};
        if (read_value(shape.shape, value, block_->columns[column], row, context)) return true;
        return refuse(std::move(context.code), std::move(context.reason), names_[column]);
    }

    bool not_sent(const ColumnShape& column, ondemand::value& value) {
        if (!event_->unsent.empty())
            return event_->unsent.find(fmt::format("\"{}\"", column.field.name)) != std::string_view::npos;
        if (column.placeholders.empty()) return false;
        const char* at = value.raw_json_token().data();
        std::string_view rest(at, static_cast<size_t>(event_->value.data() + event_->value.size() - at));
        return std::ranges::any_of(column.placeholders,
                                   [&](const auto& placeholder) { return rest.starts_with(placeholder); });
    }

    bool key_row(char op) {
        size_t row = empty_row();
        any_unsent_ = false;
        if (event_->key.empty()) return refuse("no_key", "the message has no key, though those before had one");
        if (!read_key(event_->key, row, [&](size_t i) -> data::Column& { return block_->columns[table_.key[i]]; }))
            return false;
        return describe(op, row, 0);
    }

    template <class Target>
    bool read_key(std::string_view json, size_t row, Target&& target) {
        ondemand::document document;
        ondemand::object object;
        if (!open(key_parser_, json, document, object)) return false;
        ValueContext context{.block = *block_, .options = table_.options};
        for (size_t i = 0; i < table_.key.size(); ++i) {
            const auto& column = table_.columns[table_.key[i]];
            ondemand::value value;
            if (object.find_field_unordered(column.field.name).get(value) != simdjson::SUCCESS)
                return refuse("no_key", "the message's key has no such field", column.field.name);
            if (!read_value(column.shape, value, target(i), row, context))
                return refuse(std::move(context.code), std::move(context.reason), column.field.name);
            if (!target(i).valid(row)) return refuse("no_key", "the key is null", column.field.name);
        }
        return true;
    }

    /// The columns of flow/change.h; the row is done.
    bool describe(char op, size_t row, uint64_t ordinal) {
        data::Column* at = block_->columns.data() + names_.size();
        at[0].values<data::StringRef>()[row] = data::StringRef(&op, 1);
        char* position = block_->allocate(flow::change::position_bytes);
        flow::change::write_position(position, event_->position, ordinal);
        at[1].values<data::StringRef>()[row] = data::StringRef(position, flow::change::position_bytes);
        at[2].values<int64_t>()[row] = committed_;
        at[3].values<data::StringRef>()[row] = data::StringRef();
        if (any_unsent_ && op != 'd' && op != 't') {
            char* pattern = block_->allocate(unsent_.size());
            std::memcpy(pattern, unsent_.data(), unsent_.size());
            at[3].values<data::StringRef>()[row] = data::StringRef(pattern, unsent_.size());
        }
        for (size_t i = 0; i <= table_.key.size(); ++i) at[change_columns - 1 + i].set_null(row);
        if (event_->identity != 0) {
            at[4].set_valid(row);
            at[4].values<int64_t>()[row] = event_->identity;
            if (!read_key(event_->origin, row, [&](size_t i) -> data::Column& { return at[change_columns + i]; }))
                return false;
        }
        ++block_->rows;
        return true;
    }

    const EventTable& table_;
    std::vector<std::string> names_;
    std::vector<char> seen_;
    std::vector<char> unsent_;
    bool any_unsent_ = false;
    bool lacks_ = false;  // values of this row may not have been sent
    int64_t committed_ = 0;
    ondemand::parser parser_;
    ondemand::parser key_parser_;
    simdjson::dom::parser whole_parser_;
    ondemand::document* document_ = nullptr;
    data::Block* block_ = nullptr;
    const Event* event_ = nullptr;
    Refusal* refusal_ = nullptr;
};

Decoder::Decoder(const EventTable& table) : body_(std::make_unique<Body>(table)) {}
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder::~Decoder() = default;

Decoder::Outcome Decoder::decode(const Event& event, data::Block& block, Refusal& refusal) {
    return body_->decode(event, block, refusal);
}

}  // namespace penstock::debezium
