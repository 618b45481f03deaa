#include "connect/parquet/bookkeeping.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "connect/parquet/path_template.h"
#include "connect/parquet/reject_files.h"
#include "engine/sql.h"

namespace penstock::parquet {
namespace {

using engine::Value;

constexpr std::string_view metadata_columns =
    R"(pipeline VARCHAR, run_id VARCHAR, batch BIGINT, "table" VARCHAR, target VARCHAR, cursor_from VARCHAR, cursor_to VARCHAR,
       last_loaded_timestamp TIMESTAMPTZ, "position" VARCHAR, read_at TIMESTAMPTZ, rows_read BIGINT, rows_written BIGINT, rows_rejected BIGINT,
       rows_filtered BIGINT, rows_deleted BIGINT, bytes_read BIGINT, bytes_written BIGINT, error_count BIGINT,
       committed_at TIMESTAMPTZ)";
constexpr std::string_view reject_columns =
    R"(id VARCHAR, pipeline VARCHAR, run_id VARCHAR, batch BIGINT, "table" VARCHAR, route VARCHAR, source_position VARCHAR, key VARCHAR,
       "column" VARCHAR, code VARCHAR, reason VARCHAR, payload VARCHAR, received_at TIMESTAMPTZ, replayed_at TIMESTAMPTZ,
       discarded_at TIMESTAMPTZ)";
constexpr std::string_view registry_columns =
    R"(pipeline VARCHAR, "table" VARCHAR, version BIGINT, columns VARCHAR, "column" VARCHAR, change VARCHAR, decision VARCHAR,
       sql VARCHAR, detail VARCHAR, first_seen_at TIMESTAMPTZ)";

/// FNV-1a, to tell tables apart in file names and ids.
uint32_t hash_of(std::string_view text) {
    uint32_t hash = 2166136261u;
    for (unsigned char c : text) hash = (hash ^ c) * 16777619u;
    return hash;
}

std::string file_name(const Manifest& manifest) {
    return fmt::format("{}.{}.{:08x}.{}.parquet", encode_name(manifest.pipeline), encode_name(manifest.run_id),
                       hash_of(manifest.target), manifest.batch);
}

Value optional_text(const std::string& text) { return text.empty() ? Value() : Value(text); }
Value optional_time(TimePoint time) { return time == TimePoint{} ? Value() : Value(iso_time(time)); }

/// One kind of bookkeeping file while it is filled.
class Journal {
  public:
    Journal(engine::Connection& connection, const Unit& unit, size_t number, std::string kind)
        : connection_(connection), unit_(unit), number_(number), kind_(std::move(kind)) {}

    Status open(std::string_view columns) {
        PN_TRY([[maybe_unused]] auto made,
               connection_.execute(
                   fmt::format("CREATE OR REPLACE TABLE {} ({})", engine::quote_identifier(table()), columns)));
        PN_TRY(auto appender, engine::Appender::open(connection_, "main", table()));
        appender_.emplace(std::move(appender));
        return {};
    }

    Status add(const std::vector<Value>& row) { return appender_->append(row); }

    /// `select` is what of a row is kept, and how.
    Result<Move> close(const std::string& name, std::string_view select = "*") {
        PN_CHECK(appender_->close());
        appender_.reset();
        Path staged = unit_.folder() / std::to_string(number_) / (kind_ + ".parquet");
        PN_CHECK(make_folder((unit_.root() / staged).parent_path()));
        PN_TRY(
            [[maybe_unused]] auto rows,
            connection_.execute(fmt::format(
                "COPY (SELECT {2} FROM {0}) TO {1} (FORMAT parquet, COMPRESSION zstd); DROP TABLE {0}",
                engine::quote_identifier(table()), engine::quote_literal((unit_.root() / staged).string()), select)));
        return Move{.from = staged.string(), .to = fmt::format("_penstock/{}/{}", kind_, name), .marker = ""};
    }

  private:
    std::string table() const { return "penstock_" + kind_; }

    engine::Connection& connection_;
    const Unit& unit_;
    size_t number_;
    std::string kind_;
    std::optional<engine::Appender> appender_;
};

Result<Move> stage_metadata(Journal journal, const Manifest& manifest) {
    PN_CHECK(journal.open(metadata_columns));
    const auto& counts = manifest.counts;
    auto number = [](int64_t value) { return Value(std::to_string(value)); };
    PN_CHECK(
        journal.add({manifest.pipeline, manifest.run_id, number(manifest.batch), manifest.source, manifest.target,
                     optional_text(manifest.checkpoint.cursor_from), optional_text(manifest.checkpoint.cursor_to),
                     Value(), optional_text(manifest.checkpoint.position), optional_time(manifest.checkpoint.read_at),
                     number(counts.rows_read), number(counts.rows_written), number(counts.rows_rejected),
                     number(counts.rows_filtered), number(counts.rows_deleted), number(counts.bytes_read),
                     number(counts.bytes_written), number(counts.rows_rejected), iso_time(manifest.committed_at)}));
    return journal.close(file_name(manifest),
                         "* REPLACE (coalesce(TRY_CAST(cursor_to AS TIMESTAMPTZ), read_at) AS last_loaded_timestamp)");
}

Result<Move> stage_rejects(Journal journal, const Manifest& manifest, const flow::RejectLog& rejects) {
    PN_CHECK(journal.open(reject_columns));
    int64_t ordinal = 0;
    PN_CHECK(rejects.for_each([&](const flow::Reject& reject) {
        return journal.add({reject_id(manifest, ++ordinal), manifest.pipeline, manifest.run_id,
                            std::to_string(manifest.batch), reject.table, optional_text(reject.route),
                            optional_text(reject.source_position), optional_text(reject.key),
                            optional_text(reject.column), reject.code, reject.reason, reject.payload,
                            optional_time(reject.received_at), Value(), Value()});
    }));
    return journal.close(file_name(manifest));
}

Result<Move> stage_decisions(Journal journal, const Manifest& manifest) {
    PN_CHECK(journal.open(registry_columns));
    for (const auto& decision : manifest.decisions)
        PN_CHECK(journal.add({manifest.pipeline, manifest.target, std::to_string(manifest.schema_version),
                              data::to_json(manifest.source_schema), optional_text(decision.column), decision.change,
                              decision.decision, optional_text(decision.sql), optional_text(decision.detail),
                              iso_time(manifest.committed_at)}));
    return journal.close(file_name(manifest));
}

}  // namespace

Result<std::vector<Move>> stage_replayed(engine::Connection& connection, const Unit& unit, size_t number,
                                         const std::string& pipeline, const flow::TableTarget& target) {
    std::vector<Move> moves;
    if (target.replays.empty()) return moves;
    Path folder = unit.folder() / std::to_string(number) / "replayed";
    PN_CHECK(make_folder(unit.root() / folder));
    auto staged = [&](const Path& file) { return unit.root() / folder / file.filename(); };
    PN_TRY(auto files, mark_rejects(connection, unit.root(), {.pipeline = pipeline, .ids = target.replays},
                                    flow::Resolution::replayed, now(), staged));
    int64_t open = 0;
    for (const auto& file : files) {
        auto name = file.file.filename();
        moves.push_back(
            {.from = (folder / name).string(), .to = (Path("_penstock/rejects") / name).string(), .marker = ""});
        open += file.marked;
    }
    if (open != static_cast<int64_t>(target.replays.size())) return fail(flow::rejects_closed(target, open));
    return moves;
}

std::string reject_id(const Manifest& manifest, int64_t ordinal) {
    auto hash =
        hash_of(fmt::format("{}\n{}\n{}\n{}", manifest.pipeline, manifest.run_id, manifest.target, manifest.batch));
    return fmt::format("{:08x}-{}", hash, ordinal);
}

Result<std::vector<Move>> stage_bookkeeping(engine::Connection& connection, const Unit& unit, size_t number,
                                            const Manifest& manifest, const flow::RejectLog& rejects) {
    std::vector<Move> moves;
    PN_TRY(auto metadata, stage_metadata({connection, unit, number, "pipeline_metadata"}, manifest));
    moves.push_back(std::move(metadata));
    if (rejects.size() != 0) {
        PN_TRY(auto rejected, stage_rejects({connection, unit, number, "rejects"}, manifest, rejects));
        moves.push_back(std::move(rejected));
    }
    if (!manifest.decisions.empty()) {
        PN_TRY(auto decided, stage_decisions({connection, unit, number, "schema_registry"}, manifest));
        moves.push_back(std::move(decided));
    }
    return moves;
}

}  // namespace penstock::parquet
