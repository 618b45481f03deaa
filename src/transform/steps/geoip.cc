#include "transform/steps/geoip.h"

#include <fmt/format.h>

#include <cstring>

#include "base/log.h"
#include "data/copy_rows.h"
#include "transform/steps/info_after.h"
#include "transform/steps/step_sql.h"

namespace penstock::steps {

class Geoip::Reader : public flow::ScanReader {
  public:
    Reader(const Geoip& owner, std::shared_ptr<const GeoDatabase> database, std::unique_ptr<flow::ScanReader> rows,
           flow::Progress& progress)
        : step_(owner.step_),
          address_(owner.address_),
          database_(std::move(database)),
          rows_(std::move(rows)),
          progress_(progress),
          block_(owner.before_.schema) {}

    Status fill(data::Block& out) override {
        while (true) {
            block_.clear();
            PN_CHECK(rows_->fill(block_));
            if (block_.rows == 0) return {};
            data::copy_rows(block_, 0, block_.rows, out);
            kept_.clear();
            for (size_t row = 0; row < out.rows; ++row) PN_CHECK(add_value(row, out));
            if (step_.missing == config::GeoipStep::Missing::filter && kept_.size() != out.rows) {
                progress_.rows_filtered += static_cast<int64_t>(out.rows - kept_.size());
                data::keep_rows(out, kept_);
            }
            if (out.rows != 0) return {};
            out.clear();
        }
    }

  private:
    Status add_value(size_t row, data::Block& out) {
        auto& added = out.columns.back();
        const auto& addresses = block_.columns[address_];
        std::optional<std::string_view> found;
        if (addresses.valid(row)) {
            PN_TRY(found, database_->find(addresses.values<data::StringRef>()[row].view(), scratch_));
        }
        added.values<data::StringRef>()[row] = {};
        if (!found) return added.set_null(row), Status();
        // The reader keeps the database open, not the rows: its texts may be needed for longer.
        char* bytes = out.allocate(found->size());
        std::memcpy(bytes, found->data(), found->size());
        added.values<data::StringRef>()[row] = data::StringRef(bytes, found->size());
        kept_.push_back(row);
        return {};
    }

    const config::GeoipStep& step_;
    size_t address_;
    std::shared_ptr<const GeoDatabase> database_;
    std::unique_ptr<flow::ScanReader> rows_;
    flow::Progress& progress_;
    data::Block block_;
    std::vector<size_t> kept_;
    std::string scratch_;
};

class Geoip::Scan : public flow::Scan {
  public:
    Scan(const Geoip& owner, std::unique_ptr<flow::Scan> rows, flow::Progress& progress)
        : owner_(owner), database_(owner.database_), rows_(std::move(rows)), progress_(progress) {}

    const data::Schema& schema() const override { return owner_.after_.schema; }
    unsigned max_readers() const override { return rows_->max_readers(); }
    Result<std::unique_ptr<flow::ScanReader>> reader() override {
        PN_TRY(auto rows, rows_->reader());
        return std::make_unique<Reader>(owner_, database_, std::move(rows), progress_);
    }
    Result<flow::Checkpoint> finish() override { return rows_->finish(); }

  private:
    const Geoip& owner_;
    std::shared_ptr<const GeoDatabase> database_;
    std::unique_ptr<flow::Scan> rows_;
    flow::Progress& progress_;
};

Result<std::unique_ptr<Stage>> Geoip::plan(const config::Located<config::Step>& step, const flow::TableInfo& info) {
    const auto& geoip = *step.value.geoip;
    std::unique_ptr<Geoip> made(new Geoip(geoip, info));
    PN_TRY(made->address_, column_at(info, geoip.column.value, geoip.column.place));
    if (info.schema.fields[made->address_].type.kind != data::Kind::text)
        return fail(at_step(geoip.column.place, "step_refused",
                            fmt::format("{} of {} is no text that could be an address", geoip.column.value, info.name),
                            "name a column of text or inet"));
    data::Field added{.name = geoip.into.value, .type = {.kind = data::Kind::text}};
    added.source_type = "VARCHAR";
    added.initial_unknown = true;
    made->after_.schema.fields.push_back(std::move(added));
    PN_CHECK(check_names(made->after_, geoip.into.place.text()));
    auto opened = GeoDatabase::open(geoip.database.value, geoip.value.value);
    if (!opened) return fail(std::move(opened.error()).at(geoip.database.place.text()));
    made->database_ = std::move(*opened);
    return made;
}

void Geoip::conceal(const std::vector<std::string>& columns) {
    for (const auto& name : columns) concealed_.push_back(name == step_.into.value ? step_.column.value : name);
}

std::unique_ptr<flow::Scan> Geoip::wrap(std::unique_ptr<flow::Scan> rows, const flow::ScanContext& context) {
    if (database_->is_outdated()) {
        auto newer = GeoDatabase::open(step_.database.value, step_.value.value);
        if (newer) database_ = std::move(*newer);
        else log::warning("a geoip step goes on with the database it has: {}", newer.error().message);
    }
    return std::make_unique<Scan>(*this, std::move(rows), context.progress);
}

}  // namespace penstock::steps
