#include "connect/postgres/capture/change_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/failpoint.h"
#include "connect/postgres/copy_decoder.h"
#include "connect/postgres/replication/pgoutput.h"
#include "connect/postgres/text_form.h"

namespace penstock::postgres {
namespace {

/// A row that left its key with values that were not sent.
struct Followed {
    int64_t identity = 0;
    std::vector<std::string> origin;  ///< key columns, wire form
};

/// What a row of the block is beside its fields.
struct Row {
    char op = 0;
    ChangeCommit commit;
    uint64_t ordinal = 0;
    bool unsent = false;   ///< some of its fields are null because they were not sent
    bool updated = false;  ///< an update that stayed at its key, with the old row in `before`
    const Followed* followed = nullptr;
};

std::string_view keep(data::Block& block, std::string_view text) {
    char* memory = block.allocate(text.size());
    std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
}

FieldRef as_field(std::string_view wire) { return {wire.data(), static_cast<int32_t>(wire.size())}; }

}  // namespace

/// Takes chunks, lays their tuples out by column, decodes.
class ChangeReader : public flow::ScanReader {
  public:
    explicit ChangeReader(ChangeScan& scan)
        : part_(scan.part_),
          columns_(part_.table.read.columns.size()),
          capacity_(rows_of_block(columns_)),
          fields_(columns_ * capacity_),
          unsent_(columns_ * capacity_),
          before_(part_.table.read.info.full_old_rows ? columns_ * capacity_ : 0) {
        rows_.reserve(capacity_);
    }

    Status fill(data::Block& block) override {
        PN_FAILPOINT(source_read_during);
        while (true) {
            if (part_.context.stop.stop_requested())
                return fail({.kind = ErrorKind::interrupted,
                             .code = "interrupted",
                             .message = "stopped while reading changes"});
            if (next_ == chunk_.records().size()) {
                PN_CHECK(part_.run->next(chunk_));
                next_ = 0;
                if (chunk_.records().empty()) return {};
            }
            rows_.clear();
            let_go_.clear();
            while (next_ < chunk_.records().size() && rows_.size() + 2 <= capacity_)
                PN_CHECK(lay_out(chunk_.records()[next_++], block));
            PN_CHECK(decode(block));
            if (block.rows != 0) return {};
            block.clear();
        }
    }

  private:
    FieldRef& field(size_t row, size_t column) { return fields_[column * capacity_ + row]; }
    char& unsent(size_t row, size_t column) { return unsent_[column * capacity_ + row]; }
    FieldRef& before(size_t row, size_t column) { return before_[column * capacity_ + row]; }
    size_t key_size() const { return part_.table.key.size(); }

    Status lay_out(const ChangeRecord& record, data::Block& block) {
        if (record.commit.lsn < part_.from) return {};
        part_.context.progress.bytes_read += static_cast<int64_t>(record.old_tuple.size() + record.new_tuple.size());
        if (record.op == 't') {
            followed_.clear();
            add_row('t', record, 0);
            return {};
        }
        const ChangeShape& shape = part_.shapes->at(record.schema);
        if (shape.failure) return fail(*shape.failure);
        bool full = (record.flags & change_flag::full_old) != 0;
        size_t first = rows_.size();
        if (record.op != 'c' && !record.old_tuple.empty()) {
            add_row('d', record, 0);
            PN_CHECK(put(record.old_tuple, shape, first, block));
            if (record.op == 'd') return forget(first);
        }
        bool has_old = rows_.size() > first;
        add_row(record.op, record, has_old ? 1 : 0);
        size_t row = rows_.size() - 1;
        PN_CHECK(put(record.new_tuple, shape, row, block));
        if (!has_old) return record.op == 'u' ? go_on(row) : Status();
        if (full) take_unsent_from(first, row);
        else take_key_from(first, row);
        bool keeps_old = full && !before_.empty();
        if (key_size() != 0 ? same_key(first, row) : keeps_old) {
            if (keeps_old) keep_old(first, row);
            merge_rows(first, row);
            return go_on(first);
        }
        rows_[row].op = 'c';
        return follow(first, row);
    }

    void add_row(char op, const ChangeRecord& record, uint64_t half) {
        size_t row = rows_.size();
        rows_.push_back({.op = op, .commit = record.commit, .ordinal = record.ordinal * 2 + half});
        for (size_t column = 0; column < columns_; ++column) {
            field(row, column) = {};
            unsent(row, column) = '0';
        }
    }

    Status put(std::string_view tuple, const ChangeShape& shape, size_t row, data::Block& block) {
        PN_CHECK(decode_tuple(tuple, values_));
        if (values_.size() != shape.columns.size())
            return fail({.kind = ErrorKind::data,
                         .code = "replication_protocol",
                         .message = fmt::format("a tuple of {} has {} values, its relation {} columns",
                                                part_.table.read.info.name, values_.size(), shape.columns.size())});
        for (size_t i = 0; i < values_.size(); ++i) {
            if (shape.columns[i] == ChangeShape::not_captured) continue;
            PN_CHECK(put_value(values_[i], row, static_cast<size_t>(shape.columns[i]), block));
        }
        for (const auto& missing : shape.missing)
            if (missing.initial) field(row, missing.column) = as_field(*missing.initial);
        return {};
    }

    Status put_value(const Tuple::Value& value, size_t row, size_t column, data::Block& block) {
        switch (value.kind) {
            case 'n': return {};
            case 'u':
                unsent(row, column) = '1';
                rows_[row].unsent = true;
                return {};
            case 'b': field(row, column) = as_field(value.bytes); return {};
            default: break;
        }
        const auto& text = part_.table.text[column];
        std::string_view wire = value.bytes;
        if (!text.verbatim()) {
            converted_.clear();
            PN_CHECK(text.convert(value.bytes, converted_));
            wire = keep(block, converted_);
        }
        field(row, column) = as_field(wire);
        return {};
    }

    /// REPLICA IDENTITY FULL sends old values whole.
    void take_unsent_from(size_t old_row, size_t row) {
        for (size_t column = 0; column < columns_; ++column) {
            if (unsent(row, column) != '1') continue;
            field(row, column) = field(old_row, column);
            unsent(row, column) = '0';
        }
        rows_[row].unsent = false;
    }

    /// A long key that is stored out of line: the new tuple leaves it out, the old one has it.
    void take_key_from(size_t old_row, size_t row) {
        for (size_t column : part_.table.key) {
            if (unsent(row, column) != '1') continue;
            field(row, column) = field(old_row, column);
            unsent(row, column) = '0';
        }
        rows_[row].unsent = false;
        for (size_t column = 0; column < columns_; ++column) rows_[row].unsent |= unsent(row, column) == '1';
    }

    bool same_key(size_t a, size_t b) {
        return std::ranges::all_of(part_.table.key, [&](size_t column) {
            FieldRef left = field(a, column), right = field(b, column);
            return left.is_null() == right.is_null() && (left.is_null() || left.view() == right.view());
        });
    }

    /// For change::before: under the place where merge_rows() puts the row.
    void keep_old(size_t old_row, size_t row) {
        for (size_t column = 0; column < columns_; ++column) before(old_row, column) = field(old_row, column);
        rows_[row].updated = true;
    }

    /// The old tuple told nothing but what stayed, or is kept.
    void merge_rows(size_t old_row, size_t row) {
        rows_[old_row] = rows_[row];
        rows_[old_row].op = 'u';
        for (size_t column = 0; column < columns_; ++column) {
            field(old_row, column) = field(row, column);
            unsent(old_row, column) = unsent(row, column);
        }
        rows_.pop_back();
    }

    std::string key_of(size_t row) {
        std::string key;
        for (size_t column : part_.table.key) {
            FieldRef part = field(row, column);
            key.append(reinterpret_cast<const char*>(&part.length), sizeof part.length);
            if (!part.is_null()) key += part.view();
        }
        return key;
    }

    bool follows() const { return (part_.run->flags() & change_flag::moved_unsent) != 0; }

    /// A row that moved: its old key is free, its new one has it.
    Status follow(size_t old_row, size_t row) {
        if (!follows()) return {};
        auto known = followed_.extract(key_of(old_row));
        followed_.erase(key_of(row));
        if (known.empty() && !rows_[row].unsent) return {};
        auto& followed = followed_[key_of(row)];
        if (!known.empty()) {
            followed = std::move(known.mapped());
        } else {
            followed = std::make_shared<Followed>(Followed{.identity = ++identities_});
            for (size_t column : part_.table.key) followed->origin.emplace_back(field(old_row, column).view());
        }
        let_go_.push_back(followed);
        rows_[row].followed = followed.get();
        return {};
    }

    Status go_on(size_t row) {
        if (!follows()) return {};
        if (auto known = followed_.find(key_of(row)); known != followed_.end()) {
            let_go_.push_back(known->second);
            rows_[row].followed = known->second.get();
        }
        return {};
    }

    Status forget(size_t row) {
        if (!follows()) return {};
        if (auto known = followed_.extract(key_of(row)); !known.empty()) {
            rows_[row].followed = known.mapped().get();
            let_go_.push_back(std::move(known.mapped()));
        }
        return {};
    }

    Status decode(data::Block& block) {
        part_.context.progress.rows_read += static_cast<int64_t>(rows_.size());
        read_columns(block);
        if (!refused_.empty()) {
            spare_deletes();
            std::ranges::sort(refused_, {}, &RefusedRow::row);
            refused_.erase(std::ranges::unique(refused_, {}, &RefusedRow::row).begin(), refused_.end());
            for (const auto& refused : refused_) PN_CHECK(reject(refused));
            drop_refused();
            block.clear_columns();
            read_columns(block);
            PN_ASSERT(refused_.empty());
        }
        for (size_t row = 0; row < rows_.size(); ++row) describe(row, block);
        block.rows = rows_.size();
        return {};
    }

    void read_columns(data::Block& block) {
        ReadContext context{.block = block};
        for (size_t column = 0; column < columns_; ++column) {
            std::span<const FieldRef> fields(fields_.data() + column * capacity_, rows_.size());
            part_.table.read.columns[column].reader->read_column(fields, 0, column, block.columns[column], context,
                                                                 refused_);
        }
        for (size_t i = 0; i < key_size(); ++i) read_origin(i, block, context);
        if (!before_.empty()) read_before(block, context);
    }

    void read_before(data::Block& block, ReadContext& context) {
        for (size_t column = 0; column < columns_; ++column) {
            std::span<FieldRef> fields(before_.data() + column * capacity_, rows_.size());
            for (size_t row = 0; row < rows_.size(); ++row)
                if (!rows_[row].updated) fields[row] = {};
            auto& into = block.columns[columns_ + 6 + key_size() + column];
            part_.table.read.columns[column].reader->read_column(fields, 0, column, into, context, refused_);
        }
    }

    void read_origin(size_t i, data::Block& block, ReadContext& context) {
        auto& column = block.columns[columns_ + 5 + i];
        size_t of = part_.table.key[i];
        for (size_t row = 0; row < rows_.size(); ++row) {
            if (rows_[row].followed == nullptr) {
                column.set_null(row);
                continue;
            }
            FieldRef wire = as_field(keep(block, rows_[row].followed->origin[i]));
            if (!part_.table.read.columns[of].reader->read(wire, column, row, context))
                refused_.push_back({row, of, std::move(context.refusal)});
        }
    }

    /// The columns of flow/change.h.
    void describe(size_t row, data::Block& block) {
        const Row& about = rows_[row];
        data::Column* at = block.columns.data() + columns_;
        at[0].values<data::StringRef>()[row] = data::StringRef(&about.op, 1);
        char* position = block.allocate(flow::change::position_bytes);
        flow::change::write_position(position, about.commit.lsn, about.ordinal);
        at[1].values<data::StringRef>()[row] = data::StringRef(position, flow::change::position_bytes);
        at[2].values<int64_t>()[row] = about.commit.time + epoch_micros;
        at[3].values<data::StringRef>()[row] = data::StringRef();
        if (about.unsent && about.op != 'd') {
            char* pattern = block.allocate(columns_);
            for (size_t column = 0; column < columns_; ++column) pattern[column] = unsent(row, column);
            at[3].values<data::StringRef>()[row] = data::StringRef(pattern, columns_);
        }
        if (about.followed != nullptr) at[4].values<int64_t>()[row] = about.followed->identity;
        else at[4].set_null(row);
        if (part_.table.read.info.old_rows) at[5 + key_size()].values<int64_t>()[row] = about.commit.xid;
    }

    /// A delete takes the row by its key: what else the old row held need not fit. Who asks for old rows wants it whole.
    void spare_deletes() {
        if (key_size() == 0 || part_.table.read.info.old_rows) return;
        std::erase_if(refused_, [&](const RefusedRow& refused) {
            bool in_key = std::ranges::find(part_.table.key, refused.column) != part_.table.key.end();
            if (rows_[refused.row].op != 'd' || in_key) return false;
            field(refused.row, refused.column) = {};
            return true;
        });
    }

    /// What the target has instead of a change that it cannot hold.
    std::string_view what_stays(const Row& about) const {
        if (part_.table.read.info.old_rows) return "";
        bool moved = about.op == 'c' && (about.ordinal & 1) != 0;
        if (about.op == 'u') return "; the target's row keeps its values of before this change";
        if (moved && key_size() != 0)
            return "; the row is gone from its old key and not in the target under the new one";
        if (moved) return "; the row is gone as it was before and not in the target as it is now";
        if (about.op == 'd' && key_size() == 0)
            return "; this deletes a row that is not in the target for the same reason";
        return "; the row is not in the target";
    }

    Status reject(const RefusedRow& refused) {
        part_.context.progress.rows_rejected += 1;
        const auto& about = rows_[refused.row];
        std::vector<size_t> all(columns_);
        for (size_t i = 0; i < columns_; ++i) all[i] = i;
        return part_.context.rejects.add({.table = part_.table.read.info.name,
                                          .source_position = flow::change::position_of(about.commit.lsn, about.ordinal),
                                          .key = object(refused.row, part_.table.key),
                                          .column = part_.table.read.columns[refused.column].field.name,
                                          .code = refused.refusal.code,
                                          .reason = refused.refusal.reason + std::string(what_stays(about)),
                                          .payload = object(refused.row, all),
                                          .received_at = now()});
    }

    std::string object(size_t row, const std::vector<size_t>& columns) {
        std::string json;
        for (size_t column : columns) {
            const auto& read = part_.table.read.columns[column];
            if (unsent(row, column) == '1') continue;
            json += json.empty() ? "{" : ",";
            append_json_string(read.field.name, json);
            json += ':';
            FieldRef value = field(row, column);
            if (value.is_null()) json += "null";
            else read.reader->render(value, json);
        }
        return json.empty() ? "" : json + "}";
    }

    void drop_refused() {
        size_t kept = 0;
        auto next = refused_.begin();
        for (size_t row = 0; row < rows_.size(); ++row) {
            if (next != refused_.end() && next->row == row) {
                ++next;
                continue;
            }
            rows_[kept] = rows_[row];
            for (size_t column = 0; column < columns_; ++column) {
                field(kept, column) = field(row, column);
                unsent(kept, column) = unsent(row, column);
                if (!before_.empty()) before(kept, column) = before(row, column);
            }
            ++kept;
        }
        rows_.resize(kept);
        refused_.clear();
    }

    ChangePart& part_;
    size_t columns_;
    size_t capacity_;
    std::vector<FieldRef> fields_;  // column-major
    std::vector<char> unsent_;      // the same, '1' where nothing was sent
    std::vector<FieldRef> before_;  // the same, of updates; empty where nobody asks
    std::vector<Row> rows_;
    ChangeChunk chunk_;
    size_t next_ = 0;
    std::vector<Tuple::Value> values_;
    std::string converted_;
    std::vector<RefusedRow> refused_;
    std::map<std::string, std::shared_ptr<Followed>> followed_;  // by the key they stand under now
    std::vector<std::shared_ptr<Followed>> let_go_;              // that rows of the block still name
    int64_t identities_ = 0;
};

/// The server decodes a slot in one process, three times as long as we take: a second reader would gain nothing, and one brings the
/// rows in the order of their positions, which spares the target an ordering.
unsigned ChangeScan::max_readers() const { return 1; }

Result<std::unique_ptr<flow::ScanReader>> ChangeScan::reader() { return std::make_unique<ChangeReader>(*this); }

namespace {

class SnapshotReader : public flow::ScanReader {
  public:
    SnapshotReader(std::unique_ptr<flow::ScanReader> rows, std::string_view position, int64_t taken_at)
        : rows_(std::move(rows)), position_(position), taken_at_(taken_at) {}

    /// Before the rows, one that says that all of before are gone.
    void clear_first(std::string_view position, flow::Progress& progress) {
        cleared_at_ = position;
        clears_ = &progress;
    }

    Status fill(data::Block& block) override {
        if (clears_ != nullptr) return clear(block);
        PN_CHECK(rows_->fill(block));
        for (size_t row = 0; row < block.rows; ++row) describe(block, row, "r", position_);
        return {};
    }

  private:
    Status clear(data::Block& block) {
        for (size_t i = 0; i + 3 < block.columns.size(); ++i) block.columns[i].set_null(0);
        describe(block, 0, "t", cleared_at_);
        block.rows = 1;
        clears_->rows_read += 1;
        clears_ = nullptr;
        return {};
    }

    void describe(data::Block& block, size_t row, const char* op, std::string_view position) const {
        data::Column* at = block.columns.data() + block.columns.size() - 3;
        at[0].values<data::StringRef>()[row] = data::StringRef(op, 1);
        at[1].values<data::StringRef>()[row] = data::StringRef(position);
        at[2].values<int64_t>()[row] = taken_at_;
    }

    std::string_view cleared_at_;
    flow::Progress* clears_ = nullptr;
    std::unique_ptr<flow::ScanReader> rows_;
    std::string_view position_;
    int64_t taken_at_;
};

class NoRows : public flow::ScanReader {
  public:
    Status fill(data::Block&) override { return {}; }
};

}  // namespace

Result<std::unique_ptr<flow::ScanReader>> SnapshotScan::reader() {
    PN_TRY(auto rows, rows_->reader());
    auto reader = std::make_unique<SnapshotReader>(std::move(rows), position_, taken_at_);
    if (auto* progress = std::exchange(clears_, nullptr)) reader->clear_first(cleared_at_, *progress);
    return reader;
}

Result<std::unique_ptr<flow::ScanReader>> NoChanges::reader() { return std::make_unique<NoRows>(); }

}  // namespace penstock::postgres
