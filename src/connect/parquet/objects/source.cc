#include "connect/parquet/objects/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/failpoint.h"
#include "base/log.h"
#include "connect/parquet/objects/csv_value.h"
#include "engine/database.h"

namespace penstock::parquet {
namespace {

/// A commit is worth one when there is much.
constexpr uint64_t segment_bytes = uint64_t{256} << 20;
constexpr size_t segment_objects = 1000;

Status check_table(const SourceOptions& source, const events::EventTable& table) {
    if (!source.cursor.empty() && table.info.schema.find(source.cursor.value) < 0)
        return fail({.kind = ErrorKind::configuration,
                     .code = "cursor_not_in_table",
                     .message = fmt::format("{} has no column '{}', which `cursor` names", table.info.name,
                                            source.cursor.value),
                     .where = source.cursor.place.text(),
                     .hint = "its names are case-sensitive, as in the files"});
    if (source.objects() != ObjectFormat::csv) return {};
    for (const auto& column : table.fields.children)
        if (!is_csv_type(column.type))
            return fail({.kind = ErrorKind::configuration,
                         .code = "type_not_in_csv",
                         .message = fmt::format("column {} of {} is {}, which no field of CSV is", column.name,
                                                source.schema.value.string(), data::to_string(column.type)),
                         .where = source.schema.place.text(),
                         .hint = "make it JSON: the field then holds its JSON text"});
    return {};
}

}  // namespace

ObjectSource::ObjectSource(ObjectSourceSettings settings)
    : settings_(std::move(settings)), selection_(settings_.store, settings_.source, settings_.in_folder) {}

Status ObjectSource::check(const SourceOptions& source) {
    if (source.schema.empty()) return {};
    PN_TRY(auto table, events::EventTable::make(source.route()));
    return check_table(source, table);
}

/// Nothing where there is no object to tell.
Result<std::optional<events::TableDefinition>> ObjectSource::definition() {
    if (listed_.empty()) return std::optional<events::TableDefinition>();
    const auto& newest = *std::ranges::max_element(listed_, {}, &io::ObjectInfo::modified);
    if (settings_.source.objects() == ObjectFormat::parquet) {
        PN_TRY(auto found, parquet_definition(*settings_.store, newest, *database_));
        return found;
    }
    PN_TRY(auto found, csv_definition(*settings_.store, settings_.source, newest));
    if (found.schema.fields.empty()) return std::optional<events::TableDefinition>();
    return found;
}

Result<std::vector<flow::TableInfo>> ObjectSource::discover(std::stop_token stop) {
    stop_ = stop;
    PN_FAILPOINT(source_connect_before);
    PN_TRY(listed_, selection_.list(stop));
    if (settings_.source.objects() == ObjectFormat::parquet) {
        PN_TRY(database_,
               engine::Database::in_memory(
                   {.threads = 1, .memory_limit_bytes = std::max(engine::least_memory, settings_.memory_bytes / 4)}));
    }
    if (settings_.source.schema.empty()) {
        PN_TRY(auto found, definition());
        if (!found) {
            log::info("nothing is there by {}", settings_.store->url(settings_.source.files.value));
            return std::vector<flow::TableInfo>();
        }
        PN_TRY(auto table, events::EventTable::make(settings_.source.route(), std::move(*found)));
        table_ = std::make_unique<events::EventTable>(std::move(table));
    } else {
        PN_TRY(auto table, events::EventTable::make(settings_.source.route()));
        table_ = std::make_unique<events::EventTable>(std::move(table));
    }
    PN_CHECK(check_table(settings_.source, *table_));
    table_->info.cursor = settings_.source.cursor.value;
    return std::vector{table_->info};
}

Status ObjectSource::open(std::vector<flow::TableRead> tables) {
    const auto& read = tables.front();
    context_.emplace(read.context);
    auto most = static_cast<size_t>(settings_.source.remember);
    taken_.emplace(most);
    // What is rebuilt is not to be seen in parts.
    at_once_ = settings_.replaces || read.anew || read.whole;
    if (read.from && !read.from->position.empty() && !at_once_) {
        PN_TRY(taken_, Taken::parse(read.from->position, most));
    }
    PN_TRY(waiting_, selection_.fresh(listed_, *taken_));
    next_ = 0;
    return {};
}

Result<std::optional<flow::Segment>> ObjectSource::next() {
    // Also in mode replace: a folder that is empty is more often one that is not mounted.
    if (next_ == waiting_.size()) return std::optional<flow::Segment>();
    std::vector<io::ObjectInfo> objects;
    uint64_t bytes = 0;
    auto full = [&] { return !at_once_ && (bytes >= segment_bytes || objects.size() >= segment_objects); };
    for (; next_ < waiting_.size() && !full(); ++next_) {
        objects.push_back(waiting_[next_]);
        bytes += objects.back().size;
        taken_->add(objects.back());
    }
    flow::Checkpoint checkpoint{
        .cursor_from = objects.front().name,
        .cursor_to = objects.back().name,
        .position = taken_->to_json(),
        .read_at = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now())};
    RowsContext rows{.store = *settings_.store, .options = settings_.source, .table = *table_, .scan = *context_};
    flow::Segment segment;
    segment.parts.push_back(
        {.table = 0,
         .scan = std::make_unique<ObjectScan>(selection_, rows, database_ ? &*database_ : nullptr, std::move(objects),
                                              settings_.parallel, std::move(checkpoint)),
         .last = next_ == waiting_.size()});
    return std::optional<flow::Segment>(std::move(segment));
}

}  // namespace penstock::parquet
