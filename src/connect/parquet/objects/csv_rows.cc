#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "connect/parquet/objects/csv_records.h"
#include "connect/parquet/objects/csv_value.h"
#include "connect/parquet/objects/object_rows.h"
#include "transform/events/scan.h"

namespace penstock::parquet {
namespace {

using events::Refusal;

Error bad_header(const std::string& url, std::string what, std::string hint) {
    return {.kind = ErrorKind::data,
            .code = "bad_header",
            .message = fmt::format("the header of {} {}", url, what),
            .hint = std::move(hint)};
}

Result<std::vector<std::string>> names_of(const CsvRecord& header, const std::string& url) {
    std::vector<std::string> names;
    std::set<std::string_view> seen;
    for (const auto& field : header.fields) {
        if (field.text.empty() || !seen.insert(field.text).second ||
            !simdjson::validate_utf8(field.text.data(), field.text.size()) || header.fault != nullptr)
            return fail(bad_header(url, fmt::format("does not name its columns: '{}'", header.raw.substr(0, 100)),
                                   "each column needs a name of its own; for files without header set header: false "
                                   "and a `schema`"));
        names.emplace_back(field.text);
    }
    return names;
}

class CsvRows : public ObjectRows {
  public:
    CsvRows(const RowsContext& context, std::string object, CsvReader reader)
        : context_(context), object_(std::move(object)), reader_(std::move(reader)) {}

    bool done() const override { return done_; }

    Status begin() {
        const auto& columns = context_.table.fields.children;
        if (!context_.options.has_header()) {
            for (size_t i = 0; i < columns.size(); ++i) column_.push_back(static_cast<int>(i));
            return {};
        }
        CsvRecord header;
        PN_TRY(bool more, reader_.next(header));
        done_ = !more;
        if (!more) return {};
        std::string url = context_.store.url(object_);
        PN_TRY(names_, names_of(header, url));
        for (const auto& name : names_) {
            column_.push_back(context_.table.fields.find(name));
            if (column_.back() < 0 && context_.options.unknown_fields == config::UnknownFields::reject)
                return fail(bad_header(url, fmt::format("has column '{}', which the table has not", name),
                                       "add it to the `schema`, or set unknown_fields: ignore or keep"));
        }
        for (const auto& column : columns)
            if (column.required && std::ranges::find(names_, column.name) == names_.end())
                return fail(bad_header(url, fmt::format("lacks column '{}', which must have values", column.name),
                                       "make the column nullable in the `schema`, or mend the object"));
        return {};
    }

    Status fill(data::Block& block) override {
        uint64_t before = reader_.bytes_read(), held = 0;
        int64_t refused = 0;
        auto received = now().time_since_epoch().count();
        while (!done_ && block.rows < data::block_rows && held < most_block_bytes && refused < most_refused) {
            CsvRecord record;
            PN_TRY(bool more, reader_.next(record));
            if (!more) {
                done_ = true;
                break;
            }
            held += record.bytes;
            auto position = fmt::format("{}:{}", object_, record.line);
            Refusal refusal;
            if (row(record, block, refusal)) {
                own_columns(record, block, position, received);
                ++block.rows;
                continue;
            }
            ++refused;
            for (auto& column : block.columns) column.set_valid(block.rows);
            auto payload = record.too_large ? record.raw.substr(0, shown_bytes) : record.raw;
            flow::Message message{.payload = payload, .position = position, .received_micros = received};
            PN_CHECK(context_.scan.rejects.add(
                events::reject_of(message, context_.table.info.name, "", std::move(refusal))));
        }
        auto& progress = context_.scan.progress;
        progress.bytes_read += static_cast<int64_t>(reader_.bytes_read() - before);
        progress.rows_read += static_cast<int64_t>(block.rows) + refused;
        progress.rows_rejected += refused;
        return {};
    }

  private:
    bool row(const CsvRecord& record, data::Block& block, Refusal& refusal) {
        auto refuse = [&](std::string code, std::string reason) {
            refusal = {.code = std::move(code), .reason = std::move(reason)};
            return false;
        };
        if (record.too_large)
            return refuse(
                "too_large",
                fmt::format("the row has {} bytes, more than `max_bytes` allows; the payload is its beginning",
                            record.bytes));
        if (record.fault != nullptr) return refuse("bad_csv", record.fault);
        if (record.fields.size() != column_.size())
            return refuse("bad_csv", fmt::format("it has {} fields, and there are {} columns", record.fields.size(),
                                                 column_.size()));
        if (!simdjson::validate_utf8(record.raw.data(), record.raw.size()))
            return refuse("invalid_utf8", "it is no UTF-8");
        const auto& columns = context_.table.fields.children;
        for (size_t i = 0; i < columns.size(); ++i) block.columns[i].set_null(block.rows);
        for (size_t i = 0; i < column_.size(); ++i) {
            if (column_[i] < 0) continue;
            const auto& plan = columns[static_cast<size_t>(column_[i])];
            auto& column = block.columns[static_cast<size_t>(column_[i])];
            if (is_null(record.fields[i])) {
                if (!plan.required) continue;
                refuse("null_value", "a value must be there, and it is null");
            } else {
                column.set_valid(block.rows);
                auto fault = store_csv_value(plan, record.fields[i].text, block, column, block.rows);
                if (!fault) continue;
                refuse(fault.code, std::move(fault.reason));
            }
            refusal.column = refusal.path = plan.name;
            return false;
        }
        return true;
    }

    bool is_null(const CsvField& field) const {
        return !field.quoted && field.text == context_.options.null_text.value;
    }

    void own_columns(const CsvRecord& record, data::Block& block, std::string_view position, int64_t received) {
        const auto& table = context_.table;
        size_t row = block.rows;
        auto& ingestion = block.columns[static_cast<size_t>(table.ingestion)];
        bool own = static_cast<size_t>(table.ingestion) >= table.fields.children.size();
        if (own || !ingestion.valid(row)) {
            ingestion.set_valid(row);
            ingestion.values<int64_t>()[row] = received;
        }
        store(position, block, table.position);
        block.columns[static_cast<size_t>(table.version_column)].values<data::StringRef>()[row] =
            data::StringRef(table.version);
        if (table.kept < 0) return;
        auto others = nlohmann::ordered_json::object();
        for (size_t i = 0; i < column_.size(); ++i) {
            if (column_[i] >= 0) continue;
            const auto& field = record.fields[i];
            others[names_[i]] = is_null(field) ? nlohmann::ordered_json() : nlohmann::ordered_json(field.text);
        }
        if (others.empty()) return block.columns[static_cast<size_t>(table.kept)].set_null(row);
        store(others.dump(), block, table.kept);
    }

    static void store(std::string_view text, data::Block& block, int column) {
        char* memory = block.allocate(text.size());
        std::memcpy(memory, text.data(), text.size());
        block.columns[static_cast<size_t>(column)].values<data::StringRef>()[block.rows] =
            data::StringRef(memory, text.size());
    }

    RowsContext context_;
    std::string object_;
    CsvReader reader_;
    std::vector<std::string> names_;
    std::vector<int> column_;  // of the table, by field; -1 none
    bool done_ = false;
};

Result<CsvReader> open_csv(io::ObjectStore& store, const SourceOptions& options, const io::ObjectInfo& object) {
    PN_TRY(auto content, Content::open(store, object.name));
    return CsvReader(std::move(content), options.delimiter.value.front(), options.max_bytes.count);
}

}  // namespace

Result<std::unique_ptr<ObjectRows>> csv_rows(const RowsContext& context, const io::ObjectInfo& object) {
    PN_TRY(auto reader, open_csv(context.store, context.options, object));
    auto rows = std::make_unique<CsvRows>(context, object.name, std::move(reader));
    PN_CHECK(rows->begin());
    return rows;
}

Result<events::TableDefinition> csv_definition(io::ObjectStore& store, const SourceOptions& options,
                                               const io::ObjectInfo& object) {
    PN_TRY(auto reader, open_csv(store, options, object));
    CsvRecord header;
    PN_TRY(bool more, reader.next(header));
    events::TableDefinition made;
    if (!more) return made;
    PN_TRY(auto names, names_of(header, store.url(object.name)));
    for (auto& name : names)
        made.schema.fields.push_back({.name = std::move(name), .type = data::scalar(data::Kind::text)});
    return made;
}

}  // namespace penstock::parquet
