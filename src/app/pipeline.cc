#include "app/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <thread>

#include "app/components.h"
#include "app/work/work.h"
#include "base/humane.h"
#include "config/suggest.h"
#include "transform/events/replay.h"
#include "transform/steps/stepped_source.h"

namespace penstock::app {
namespace {

/// For messages that are read again, not from the source.
Result<events::EventOptions> event_options(const flow::Component& source, const flow::BuildContext& context) {
    auto options = events::EventOptions::of(context);
    if (source.payload_decoder != nullptr) {
        PN_TRY(options.decoder, source.payload_decoder(context));
    }
    return options;
}

/// The options that every target has, out of those of a particular one.
Result<config::TargetOptions> common_target_options(const config::Node& target) {
    config::Node common = target;
    std::erase_if(common.entries, [](const auto& entry) { return config::target_spec().find(entry.key) == nullptr; });
    return config::target_spec().parse(common);
}

/// What a reading and writing thread takes at its peak: receive buffer, a row group in the making, its compressed pages.
constexpr uint64_t memory_a_thread = uint64_t{128} << 20;

unsigned resolve_threads(const config::PipelineSettings& settings) {
    if (!settings.parallel.automatic()) return static_cast<unsigned>(settings.parallel.threads);
    auto affordable = static_cast<unsigned>(std::min<uint64_t>(settings.memory.count / memory_a_thread, 16));
    return std::clamp(std::thread::hardware_concurrency(), 1u, std::max(affordable, 1u));
}

flow::BuildContext context(const config::Document& document, const config::PipelineConfig& pipeline,
                           const std::string& name, const flow::Component& target) {
    static const config::Node none;  // of another program's work
    return {.pipeline = pipeline,
            .connection = name.empty() ? none : document.connection(name)->options,
            .connection_name = name,
            .directory = document.directory,
            .parallel = resolve_threads(pipeline),
            .memory_bytes = pipeline.memory.count,
            .holds = target.target_holds,
            .light_commits = target.light_commits,
            .commit_every = target.commit_every ? target.commit_every(pipeline.target) : std::chrono::microseconds(0),
            .state = document.state,
            .state_directory = document.state_directory};
}

const flow::Component* component_of(const config::Document& document, const std::string& connection) {
    return connection.empty() ? &work_component() : find_component(document.connection(connection)->type);
}

/// Null where there is no such connection, or none that holds objects.
std::function<Result<std::shared_ptr<io::ObjectStore>>()> archive_opener(const config::Document& document,
                                                                         const std::string& name) {
    const auto* connection = document.connection(name);
    if (connection == nullptr) return {};
    auto* open = find_component(connection->type)->open_store;
    if (open == nullptr) return {};
    return [open, connection] { return open(connection->options); };
}

flow::Mode to_flow(config::WriteMode mode) {
    switch (mode) {
        case config::WriteMode::append: return flow::Mode::append;
        case config::WriteMode::replace: return flow::Mode::replace;
        case config::WriteMode::merge: return flow::Mode::merge;
        case config::WriteMode::history: return flow::Mode::history;
    }
    std::unreachable();
}

flow::SchemaChange to_flow(config::SchemaChange policy) {
    switch (policy) {
        case config::SchemaChange::evolve: return flow::SchemaChange::evolve;
        case config::SchemaChange::freeze: return flow::SchemaChange::freeze;
        case config::SchemaChange::reject: return flow::SchemaChange::reject;
    }
    std::unreachable();
}

flow::Purse::Limits limits_of(const config::Budget& budget) {
    flow::Purse::Limits limits{.run_bytes = {}, .day_usd = budget.daily_usd};
    if (budget.max_bytes_billed) limits.run_bytes = static_cast<int64_t>(budget.max_bytes_billed->count);
    limits.defers = budget.on_exceed == config::OnExceed::defer;
    return limits;
}

/// Events come from everywhere, and whoever bounds the rejects expects some: a bound without `on_reject` lets the run go on up to it.
flow::RejectPolicy reject_policy(const config::PipelineConfig& config, bool expects_some) {
    bool bounded = expects_some || config.max_rejects.rows || config.max_rejects.share;
    auto choice = config.on_reject.value_or(bounded ? config::OnReject::go_on : config::OnReject::stop);
    return {.stop = choice == config::OnReject::stop,
            .max_count = config.max_rejects.rows.value_or(-1),
            .max_share = config.max_rejects.share.value_or(1.0)};
}

std::vector<std::string> column_names(const flow::TableInfo& info) {
    std::vector<std::string> names;
    for (const auto& field : info.schema.fields) names.push_back(field.name);
    return names;
}

Error no_key(const flow::TableInfo& info, config::WriteMode mode, const std::string& place) {
    return {
        .kind = ErrorKind::configuration,
        .code = "no_key",
        .message = fmt::format("mode {} needs a key, and {} has no primary key", config::to_string(mode), info.name),
        .where = place,
        .hint = fmt::format(
            "add `key: [column, …]` to the target, naming columns that are unique together ({}), or use mode "
            "append or replace",
            fmt::join(column_names(info), ", "))};
}

}  // namespace

Pipeline::Pipeline(const config::Document& document, const config::PipelineConfig& config,
                   config::TargetOptions options)
    : document_(&document),
      config_(&config),
      options_(std::move(options)),
      source_component_(component_of(document, config.source_connection)),
      target_component_(component_of(document, config.target_connection)),
      source_(context(document, config, config.source_connection, *target_component_)),
      target_(context(document, config, config.target_connection, *target_component_)) {
    source_.follow = config.run == config::RunKind::follow;
    if (config.archive) source_.open_archive = archive_opener(document, config.archive->connection.value);
    if (!is_stream()) return;
    // What was received and not written yet has a budget of its own.
    source_.memory_bytes /= 4;
    target_.memory_bytes -= 2 * source_.memory_bytes;
}

bool Pipeline::is_stream() const {
    return source_component_->is_stream != nullptr && source_component_->is_stream(source_);
}

bool Pipeline::is_routed() const {
    return source_component_->is_routed != nullptr && source_component_->is_routed(source_);
}

std::vector<flow::Dataset> Pipeline::datasets_of(const flow::TableInfo& table) const {
    if (source_component_->source_datasets == nullptr) return {};
    auto datasets = source_component_->source_datasets(source_, table);
    return datasets ? std::move(*datasets) : std::vector<flow::Dataset>();
}

std::optional<flow::Dataset> Pipeline::dataset_of(const flow::TableTarget& table) const {
    if (target_component_->target_dataset == nullptr) return {};
    auto dataset = target_component_->target_dataset(target_, table.name);
    return dataset ? std::optional(std::move(*dataset)) : std::nullopt;
}

Result<Pipeline> Pipeline::find(const config::Document& document, const std::string& name) {
    const auto* config = document.pipeline(name);
    if (config == nullptr) return fail(config::no_such_pipeline(document, name));
    if (config->work() != nullptr) return Pipeline(document, *config, {});
    PN_TRY(auto options, common_target_options(config->target));
    return Pipeline(document, *config, std::move(options));
}

Status Pipeline::limit(const flow::ReadBounds& bounds) {
    source_.bounds = bounds;
    if (is_work())
        return fail({.kind = ErrorKind::usage,
                     .code = "option_not_available",
                     .message = fmt::format("{}: what another program reads is its own business", name()),
                     .hint = "run it without --limit, --from and --to; `{window.start}` and `{param.NAME}` in its "
                             "options tell it what to do"});
    if (is_stream())
        return fail({.kind = ErrorKind::usage,
                     .code = "option_not_available",
                     .message = fmt::format("{}: a change stream is taken whole, in order", name()),
                     .hint = "run it without --limit, --from and --to"});
    if (source_component_->takes_bounds) return {};
    return fail({.kind = ErrorKind::usage,
                 .code = "option_not_available",
                 .message = fmt::format("{}: a {} source does not take --limit, --from or --to in this version", name(),
                                        source_component_->type),
                 .hint = "bound the read with `where:` in the pipeline's source"});
}

Status Pipeline::travel_to(TimePoint as_of) {
    source_.as_of = as_of;
    if (source_component_->takes_as_of && !is_stream()) return {};
    return fail(
        {.kind = ErrorKind::usage,
         .code = "as_of_not_taken",
         .message = fmt::format("{}: a {} source has no rows but those of now", name(), source_component_->type),
         .hint = "--as-of is for tables of BigQuery; PostgreSQL's past is in its backups"});
}

Result<std::unique_ptr<flow::Source>> Pipeline::build_replay_source(
    const std::vector<flow::RejectRecord>& rejects) const {
    PN_CHECK(check_replay(rejects));
    if (is_routed()) {
        PN_TRY(auto options, event_options(*source_component_, source_));
        return with_checks(with_steps(events::replay_rejects(std::move(options), rejects)), {}, true);
    }
    if (source_component_->build_replay_source != nullptr)
        return with_checks(with_steps(source_component_->build_replay_source(source_, rejects)), {}, true);
    return fail({.kind = ErrorKind::usage,
                 .code = "replay_not_available",
                 .message = fmt::format("{}: rows of a {} source cannot be read again one by one", name(),
                                        source_component_->type),
                 .hint = fmt::format("`penstock run {} --full-refresh` reads everything again", name())});
}

Status Pipeline::check_archive() const {
    if (is_routed() && config_->archive) return {};
    return fail({.kind = ErrorKind::usage,
                 .code = "replay_not_available",
                 .message = fmt::format("{} keeps no archive that could be read again", name()),
                 .where = config_->place.text(),
                 .hint = is_routed() ? "add `archive: {connection: …}`: what comes from then on is kept"
                                     : fmt::format("`penstock run {} --full-refresh` reads the source again", name())});
}

Result<std::unique_ptr<archive::ArchiveStream>> Pipeline::open_archive(archive::ReplayRange range) const {
    PN_CHECK(check_archive());
    return events::archive_stream(events::EventOptions::of(source_), std::move(range));
}

Result<std::unique_ptr<flow::Source>> Pipeline::build_archive_source(archive::ReplayRange range) const {
    PN_CHECK(check_archive());
    PN_TRY(auto options, event_options(*source_component_, source_));
    return with_checks(with_steps(events::replay_archive(std::move(options), std::move(range))), {}, true);
}

std::string Pipeline::slot() const {
    return source_component_->slot_of == nullptr ? "" : source_component_->slot_of(source_);
}

Result<std::vector<flow::Finding>> Pipeline::examine_source(std::stop_token stop) const {
    if (source_component_->examine_source == nullptr) return std::vector<flow::Finding>();
    return source_component_->examine_source(source_, std::move(stop));
}

Result<std::unique_ptr<flow::Source>> Pipeline::build_source() const {
    if (config_->unusable) return fail(*config_->unusable);
    return with_checks(with_steps(source_component_->build_source(source_)), {}, false);
}

Result<std::unique_ptr<flow::Source>> Pipeline::with_steps(Result<std::unique_ptr<flow::Source>> source) const {
    if (!source || config_->steps.empty()) return source;
    return std::make_unique<steps::SteppedSource>(std::move(*source), config_->steps, source_.directory,
                                                  source_.memory_bytes / 4);
}

Result<std::unique_ptr<flow::Sink>> Pipeline::build_sink() const {
    if (config_->unusable) return fail(*config_->unusable);
    return target_component_->build_sink(target_);
}

Result<std::unique_ptr<flow::Ledger>> Pipeline::open_ledger() const {
    if (target_component_->open_ledger == nullptr) return std::unique_ptr<flow::Ledger>();
    return target_component_->open_ledger(target_);
}

std::string Pipeline::target_type(const data::Field& field) const {
    return target_component_->target_type == nullptr ? data::to_string(field.type)
                                                     : target_component_->target_type(field);
}

Result<std::vector<std::string>> Pipeline::known_columns(const std::vector<config::Text>& names,
                                                         const flow::TableInfo& info, std::string_view option) const {
    std::vector<std::string> known;
    for (const auto& name : names) {
        if (info.schema.find(name.value) >= 0) {
            known.push_back(name.value);
            continue;
        }
        auto columns = column_names(info);
        return fail({.kind = ErrorKind::configuration,
                     .code = fmt::format("{}_not_in_table", option),
                     .message = fmt::format("{} has no column '{}', which `{}` names{}", info.name, name.value, option,
                                            config::did_you_mean(name.value, columns)),
                     .where = name.place.text(),
                     .hint = fmt::format("its columns: {}", fmt::join(columns, ", "))});
    }
    return known;
}

/// The target's options, with those of the table's route over them.
config::TargetOptions Pipeline::options_for(const flow::TableInfo& info) const {
    auto out = options_;
    if (!is_routed()) return out;
    if (!out.mode) out.mode = config::WriteMode::append;
    auto to = std::ranges::find(config_->route->to, info.name, [](const auto& one) { return one.table.value; });
    if (to == config_->route->to.end()) return out;
    if (to->mode) out.mode = to->mode;
    if (!to->key.empty()) out.key = to->key;
    return out;
}

Result<flow::TableTarget> Pipeline::target_for(const flow::TableInfo& info) const {
    flow::TableTarget target{.info = info};
    if (info.rejects_only) {
        target.name = info.name;
        return target;
    }
    auto options = options_for(info);
    PN_TRY(target.name, target_component_->target_name(target_, info));
    PN_TRY(target.key, known_columns(options.key, info, "key"));
    PN_TRY(target.cluster_by, known_columns(options.cluster_by, info, "cluster_by"));
    if (target.cluster_by.empty()) target.cluster_by = info.cluster_by;
    if (info.changes) {
        target.key = info.key;
        target.mode = options.mode == config::WriteMode::history ? flow::Mode::history : flow::Mode::merge;
        if (target_component_->logs_changes) target.mode = flow::Mode::append;
        target.deletes = options.deletes == config::Deletes::soft ? flow::Deletes::soft : flow::Deletes::hard;
        target.partition_by = options.partition_by.value;
        target.schema_change = to_flow(options.schema_change);
        return target;
    }
    // An increment of a table with a primary key is merged by it unless the configuration says otherwise.
    bool has_key = info.key_is_unique && !info.key.empty();
    // Rows that know where in the source they were come once.
    bool incremental = !info.cursor.empty() || info.schema.find(events::position) >= 0;
    auto mode = options.mode_for(incremental);
    if (!options.mode && incremental && target.key.empty() && has_key) mode = config::WriteMode::merge;
    bool keyed = mode == config::WriteMode::merge || mode == config::WriteMode::history;
    if (keyed && target.key.empty()) {
        if (!has_key) return fail(no_key(info, mode, config_->target.place.text()));
        target.key = info.key;
    }
    target.mode = to_flow(mode);
    // An event's place in time; a stream has no other order.
    if (is_routed() && keyed && info.schema.find(events::ingestion_time) >= 0)
        target.newest_by = events::ingestion_time;
    target.update_when = options.update_when.value;
    target.partition_by = options.partition_by.empty() ? info.partition_by : options.partition_by.value;
    target.schema_change = to_flow(options.schema_change);
    return target;
}

std::vector<std::string> Pipeline::stream_troubles(const flow::Checkpoint& stream) const {
    if (source_component_->troubles == nullptr) return {};
    return source_component_->troubles(stream);
}

flow::RunRequest Pipeline::request(const std::string& run_id, bool full_refresh) const {
    flow::RunRequest request;
    request.identity = {.pipeline = name(), .run_id = run_id};
    // A plan only hears what would be spent.
    auto limits = run_id.empty() ? flow::Purse::Limits() : limits_of(config_->budget);
    request.purse = std::make_shared<flow::Purse>(request.identity, limits);
    if (!config_->checks.empty()) request.validations = std::make_shared<flow::ValidationLog>();
    request.make_source = [this, run_id, purse = request.purse,
                           log = request.validations]() -> Result<std::unique_ptr<flow::Source>> {
        if (config_->unusable) return fail(*config_->unusable);
        auto context = source_;
        context.run_id = run_id;
        context.purse = purse;
        return with_checks(with_steps(source_component_->build_source(context)), log, false, purse);
    };
    request.make_sink = [this, run_id, purse = request.purse]() -> Result<std::unique_ptr<flow::Sink>> {
        if (config_->unusable) return fail(*config_->unusable);
        auto context = target_;
        context.run_id = run_id;
        context.purse = purse;
        PN_TRY(auto sink, target_component_->build_sink(context));
        PN_CHECK(check_answers(*sink));
        return sink;
    };
    request.target_for = [this, full_refresh](size_t, const flow::TableInfo& info) -> Result<flow::TableTarget> {
        PN_TRY(auto target, target_for(info));
        target.full_refresh = full_refresh;
        return target;
    };
    if (is_work())
        request.work = [this, run_id, full_refresh](auto& tables, std::stop_token stop) -> Status {
            if (config_->unusable) return fail(*config_->unusable);
            return do_work({*config_, source_.directory, run_id, full_refresh}, tables, std::move(stop));
        };
    check_tables_of(request);
    request.rejects = reject_policy(*config_, is_routed() || any_check_rejects());
    request.retries = {.max = static_cast<int>(config_->retries.max),
                       .delay = config_->retries.delay,
                       .backoff = config_->retries.backoff,
                       .jitter = config_->retries.jitter};
    return request;
}

Result<Program> Pipeline::program(bool full_refresh) const {
    if (config_->unusable) return fail(*config_->unusable);
    return program_of({*config_, source_.directory, "", full_refresh});
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

Result<std::vector<Pipeline>> select_pipelines(const config::Document& document,
                                               const std::vector<std::string>& names) {
    for (const auto& name : names)
        if (document.pipeline(name) == nullptr &&
            std::ranges::find(document.pipelines, name, &config::PipelineConfig::origin) == document.pipelines.end())
            return fail(config::no_such_pipeline(document, name));
    std::set<std::string> wanted(names.begin(), names.end());
    std::vector<Pipeline> selected;
    for (const auto& name : document.run_order()) {
        if (!wanted.empty() && !wanted.contains(name) && !wanted.contains(document.pipeline(name)->origin)) continue;
        PN_TRY(auto pipeline, Pipeline::find(document, name));
        selected.push_back(std::move(pipeline));
    }
    return selected;
}

}  // namespace penstock::app
