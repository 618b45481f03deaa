#include "connect/parquet/table_load.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "connect/parquet/path_template.h"
#include "engine/constant.h"
#include "engine/scan_function.h"
#include "engine/sql.h"
#include "engine/types.h"
#include "flow/change.h"

namespace penstock::parquet {
namespace {

using engine::quote_identifier;

constexpr std::string_view validity_columns[] = {flow::change::valid_from, flow::change::valid_to};

data::Schema without_validity(data::Schema schema) {
    std::erase_if(schema.fields,
                  [](const data::Field& field) { return std::ranges::count(validity_columns, field.name) != 0; });
    return schema;
}

std::string_view to_string(flow::Mode mode) {
    switch (mode) {
        case flow::Mode::append: return "append";
        case flow::Mode::replace: return "replace";
        case flow::Mode::merge: return "merge";
        case flow::Mode::history: return "history";
    }
    std::unreachable();
}

/// The path below its first `above` characters, without a slash in front.
std::string below(const std::string& path, size_t above) {
    return path.size() > above ? path.substr(above + 1) : std::string();
}

}  // namespace

data::Schema with_validity(data::Schema schema) {
    for (auto name : validity_columns)
        schema.fields.push_back({.name = std::string(name), .type = data::scalar(data::Kind::timestamptz)});
    return schema;
}

Rewrite rewrite_of(const flow::TableTarget& target) {
    if (target.full_refresh || target.mode == flow::Mode::replace) return Rewrite::dropped;
    return target.mode == flow::Mode::append ? Rewrite::none : Rewrite::carried;
}

Shape shape_for(const flow::TableTarget& target, const std::optional<Manifest>& newest, const data::Schema& source) {
    std::optional<KnownShape> known;
    if (newest) known = KnownShape{.shape = without_validity(newest->shape), .source = newest->source_schema};
    Terms terms{.policy = target.full_refresh ? flow::SchemaChange::evolve : target.schema_change,
                .rewrite = rewrite_of(target),
                .no_rereading = {},
                .fixed = target.key};
    if (!target.info.cursor.empty()) terms.fixed.push_back(target.info.cursor);
    if (target.mode == flow::Mode::append && !target.info.cursor.empty())
        terms.no_rereading = "mode append does not look for them";
    if (!target.update_when.empty()) terms.no_rereading = "update_when may keep them as they are";
    return evolve(known, source, std::move(terms));
}

TableLoad::TableLoad(const LoadContext& context, const flow::TableTarget& target, const flow::ScanContext& scan_context,
                     size_t number, engine::Connection& connection)
    : context_(context), target_(target), scan_context_(scan_context), number_(number), connection_(connection) {}

Status TableLoad::prepare(const data::Schema& source) {
    scan_ = source;
    source_ = source_schema(target_, source);
    PN_TRY(newest_, newest_manifest(context_.unit.root(), context_.pipeline, target_.name));
    shape_ = shape_for(target_, newest_, source_);
    PN_CHECK(check_refused(target_.info.name, shape_.decisions));
    PN_FAILPOINT(target_schema_before);
    schema_ = shape_.schema();
    PN_CHECK(check_shape(target_.info.name, schema_));
    PN_TRY(partitions_, parse_partitions(target_.partition_by, schema_));
    PN_CHECK(find_key_and_cursor());
    return choose_places();
}

std::string TableLoad::name_in_shape(const std::string& source_column) const {
    int index = source_.find(source_column);
    for (const auto& column : shape_.columns)
        if (index >= 0 && column.source == index) return column.field.name;
    return "";
}

Status TableLoad::find_key_and_cursor() {
    const auto& cursor = keyed() ? target_.newest() : target_.info.cursor;
    if (!cursor.empty()) cursor_ = name_in_shape(cursor);
    if (!keyed()) return {};
    for (const auto& name : target_.key) {
        key_.push_back(name_in_shape(name));
        if (!key_.back().empty()) continue;
        return fail({.kind = ErrorKind::schema,
                     .code = "key_not_carried",
                     .message = fmt::format("key column {} of {} is left out of the target", name, target_.info.name),
                     .hint = "set `schema_change: evolve`, or name other columns under `key:`"});
    }
    return {};
}

Status TableLoad::choose_places() {
    const Path& root = context_.unit.root();
    expanded_ = expand_time(target_.name, context_.started_at);
    if (target_.full_refresh && target_.mode == flow::Mode::append) scope_ = fixed_part(target_.name);
    else if (target_.mode != flow::Mode::append) scope_ = expanded_;
    std::string name = encode_name(context_.run_id);
    // A stream commits many times in a run.
    bool again = newest_ && newest_->run_id == context_.run_id;
    if (target_.info.changes || again) name += fmt::format("-{:08}", newest_ ? newest_->batch + 1 : 1);
    run_name_ = name;
    for (int next = 2; is_there(root / expanded_ / run_name_); ++next) run_name_ = fmt::format("{}-{}", name, next);
    if (scope_.empty()) return {};
    return check_only_ours();
}

/// A folder that is swapped is gone afterwards: what somebody else put there must not go with it.
Status TableLoad::check_only_ours() const {
    const Path& root = context_.unit.root();
    if (!is_there(root / scope_)) return {};
    PN_TRY(auto ours, published_files(root, context_.pipeline, target_.name));
    std::error_code failed;
    std::filesystem::recursive_directory_iterator entries(root / scope_, failed);
    for (; !failed && entries != std::filesystem::recursive_directory_iterator(); entries.increment(failed)) {
        if (entries->is_directory(failed)) continue;
        std::string path = entries->path().lexically_relative(root).string();
        if (ours.contains(path)) continue;
        return fail({.kind = ErrorKind::refused,
                     .code = "foreign_files",
                     .message = fmt::format("{} holds {}, which this pipeline has not written and would remove",
                                            (root / scope_).string(), Path(path).lexically_relative(scope_).string()),
                     .hint = "move it away, or give the table a folder of its own with `path:`"});
    }
    if (failed) return fail(storage_error("list", root / scope_, failed.value()));
    return {};
}

Path TableLoad::data_folder() const {
    Path data = folder() / "data";
    if (!scope_.empty()) data /= below(expanded_, scope_.size());
    return data / run_name_;
}

std::string TableLoad::select_scan(const std::string& scan) const {
    std::string names;
    for (size_t i = 0; i < scan_.fields.size(); ++i) names += fmt::format("{}s{}", i == 0 ? "" : ", ", i);
    std::string columns;
    for (const auto& column : shape_.columns) {
        std::string type = engine::sql_type(column.field.type);
        std::string value = column.source < 0 ? "NULL" : fmt::format("s{}", column.source);
        if (column.source >= 0 && target_.info.changes)
            value = log_value(target_.info, scan_, shape_, static_cast<size_t>(column.source));
        bool as_it_is =
            column.source >= 0 && source_.fields[static_cast<size_t>(column.source)].type == column.field.type;
        columns += fmt::format("{}{} AS {}", columns.empty() ? "" : ", ",
                               as_it_is ? value : fmt::format("CAST({} AS {})", value, type),
                               quote_identifier(column.field.name));
    }
    return fmt::format("SELECT {} FROM {} AS scan({})", columns, scan, names);
}

std::string TableLoad::select_published(const Manifest& manifest, const std::vector<DataFile>& files) const {
    auto now = target_.mode == flow::Mode::history ? with_validity(schema_) : schema_;
    std::string columns;
    for (size_t i = 0; i < now.fields.size(); ++i) {
        const auto& field = now.fields[i];
        const std::string& before = i < shape_.columns.size() ? shape_.columns[i].before : field.name;
        bool there = !before.empty() && manifest.shape.find(before) >= 0;
        std::string value = there ? quote_identifier(before) : engine::older_rows_sql(field).value_or("NULL");
        columns += fmt::format("{}CAST({} AS {}) AS {}", columns.empty() ? "" : ", ", value,
                               engine::sql_type(field.type), quote_identifier(field.name));
    }
    return fmt::format("SELECT {} FROM {}", columns,
                       read_sql(context_.unit.root(), files, manifest.partitions, manifest.shape));
}

Status TableLoad::stage(flow::Scan& scan) {
    engine::LentScan lent(context_.database, scan, target_.info.estimated_rows);
    std::string select = select_scan(lent.sql());
    std::string emptied;
    if (target_.info.changes && target_.whole) {
        PN_TRY(emptied, truncate_row());
    }
    if (!emptied.empty()) select += " UNION ALL " + emptied;
    bool comparable = target_.mode == flow::Mode::append && newest_ && !target_.full_refresh && !cursor_.empty();
    PN_CHECK(make_folder(folder()));
    PN_FAILPOINT(target_stage_before);
    bool raw = comparable || keyed();
    Status staged = raw ? write_raw(select) : write_final(select);
    if (!staged) return fail(lent.original(std::move(staged.error())));
    counts_.rows_read = lent.rows();
    added_ = emptied.empty() ? 0 : 1;
    int64_t in_files = rows_in(raw ? raw_ : files_) - added_;
    if (in_files != counts_.rows_read)
        return fail(
            {.kind = ErrorKind::internal,
             .code = "rows_lost",
             .message = fmt::format("{} rows of {} were handed over and {} are in the files", counts_.rows_read,
                                    target_.info.name, in_files),
             .hint = "nothing was published; if partition_by names a text column, a value of it may be one that folder "
                     "names cannot tell from NULL (__HIVE_DEFAULT_PARTITION__)"});
    PN_FAILPOINT(target_stage_after);
    return {};
}

Status TableLoad::write_raw(const std::string& select) {
    // An append's raw files may become the final ones as they are; others are read once and removed.
    auto options = readable(keyed() ? WriteOptions{.compression = Compression::snappy} : context_.options, schema_);
    options.dictionaries = !may_hold_negative_zero();
    PN_TRY([[maybe_unused]] auto rows, connection_.execute(copy_sql(select, raw_folder(), options, {}, {})));
    PN_TRY(raw_, written_files(connection_, raw_folder(), schema_, cursor_, {}));
    return {};
}

Status TableLoad::write_final(const std::string& select) {
    PN_CHECK(make_folder(data_folder()));
    auto options = readable(context_.options, schema_);
    // Rows that stream from the source cannot be looked at beforehand.
    options.dictionaries = !may_hold_negative_zero();
    if (keyed()) {
        PN_TRY(options.dictionaries, has_no_negative_zero(select));
    }
    std::string copy = copy_sql(select, data_folder(), options, partitions_, order());
    PN_TRY([[maybe_unused]] auto rows, connection_.execute(copy));
    auto schema = target_.mode == flow::Mode::history ? with_validity(schema_) : schema_;
    PN_TRY(files_, written_files(connection_, data_folder(), schema, cursor_, partition_names(partitions_)));
    return {};
}

bool TableLoad::may_hold_negative_zero() const {
    return std::ranges::any_of(schema_.fields, engine::has_signed_zero, &data::Field::type);
}

Result<bool> TableLoad::has_no_negative_zero(const std::string& select) {
    std::string any;
    for (const auto& field : schema_.fields)
        if (auto held = engine::holds_negative_zero(field.type, quote_identifier(field.name)); !held.empty())
            any += (any.empty() ? "" : " OR ") + held;
    if (any.empty()) return true;
    PN_TRY(auto found, connection_.query(fmt::format("SELECT 1 FROM ({}) WHERE {} LIMIT 1", select, any)));
    return found.empty();
}

Status TableLoad::merge_with_published() {
    if (keyed()) {
        PN_CHECK(target_.mode == flow::Mode::merge ? merge_by_key() : keep_history());
    } else {
        if (!raw_.empty()) PN_CHECK(leave_out_published());
        counts_.rows_written = rows_in(files_) - added_;
        counts_.rows_filtered = counts_.rows_read - counts_.rows_written;
        if (target_.info.changes) PN_CHECK(count_deletes());
    }
    counts_.bytes_written = bytes_in(files_);
    PN_CHECK(remove_tree(raw_folder()));
    PN_FAILPOINT(target_merge_after);
    return {};
}

bool TableLoad::nothing_to_rewrite() const {
    return newest_ && !target_.full_refresh && shape_.decisions.empty() &&
           newest_->partitions == partition_names(partitions_) && newest_->mode == to_string(target_.mode);
}

Result<StagedTable> TableLoad::finish() {
    StagedTable staged;
    Manifest& manifest = staged.manifest;
    manifest.batch = newest_ ? newest_->batch + 1 : 1;
    manifest.pipeline = context_.pipeline;
    manifest.run_id = context_.run_id;
    manifest.source = target_.info.name;
    manifest.target = target_.name;
    manifest.mode = to_string(target_.mode);
    manifest.replaces = !scope_.empty();
    manifest.partitions = partition_names(partitions_);
    manifest.counts = counts_;
    manifest.source_schema = source_;
    manifest.shape = target_.mode == flow::Mode::history ? with_validity(schema_) : schema_;
    manifest.schema_version = newest_ ? newest_->schema_version + (shape_.decisions.empty() ? 0 : 1) : 1;
    manifest.decisions = shape_.decisions;

    std::string staged_at = (context_.unit.folder() / std::to_string(number_) / "data").string();
    if (unchanged_) {
        manifest.files = newest_->files;
        manifest.replaces = newest_->replaces;
        return staged;
    }
    for (auto file : files_) {
        file.path = fmt::format("{}/{}/{}", expanded_, run_name_, file.path);
        manifest.files.push_back(std::move(file));
    }
    std::string rest = below(expanded_, scope_.size());
    std::string marker = rest.empty() ? run_name_ : rest + "/" + run_name_;
    if (!scope_.empty()) staged.moves.push_back({.from = staged_at, .to = scope_, .marker = marker});
    else if (!files_.empty() && (counts_.rows_written != 0 || !newest_))  // a first, empty one shows the columns
        staged.moves.push_back({.from = staged_at + "/" + run_name_, .to = expanded_ + "/" + run_name_, .marker = ""});
    else manifest.files.clear();
    return staged;
}

Result<StagedTable> load_table(const LoadContext& context, const flow::TableTarget& target, flow::Scan& scan,
                               const flow::ScanContext& scan_context, size_t number) {
    PN_TRY(auto connection, context.database.connect(scan_context.stop));
    TableLoad load(context, target, scan_context, number, connection);
    PN_CHECK(load.prepare(scan.schema()));
    PN_CHECK(load.stage(scan));
    PN_CHECK(load.merge_with_published());
    return load.finish();
}

}  // namespace penstock::parquet
