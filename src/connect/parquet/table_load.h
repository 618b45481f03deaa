#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/parquet/change_log.h"
#include "connect/parquet/evolution.h"
#include "connect/parquet/manifest.h"
#include "connect/parquet/publish.h"
#include "connect/parquet/write.h"
#include "engine/database.h"
#include "engine/exactness.h"
#include "flow/sink.h"

namespace penstock::parquet {

/// What a run needs to load its tables.
struct LoadContext {
    const Unit& unit;
    const WriteOptions& options;
    std::string pipeline;
    std::string run_id;
    TimePoint started_at;
    engine::Database& database;
};

/// A table that is staged: what publishing it takes, and its manifest but for what only the commit knows.
struct StagedTable {
    Manifest manifest;
    std::vector<Move> moves;
};

/// What becomes of the files that are there.
Rewrite rewrite_of(const flow::TableTarget& target);

/// The shape a load would give the table, with its decisions. `newest` is its newest manifest, if any.
Shape shape_for(const flow::TableTarget& target, const std::optional<Manifest>& newest, const data::Schema& source);

/// One table on its way into the unit, step by step; load_table says in which order. One thread.
///
///   scan --stage--> raw files --compare with what is published--> final files        (append with a cursor, merge, history)
///   scan --stage--> final files                                                      (first append, replace)
class TableLoad {
  public:
    /// `number` tells the tables of the unit apart.
    TableLoad(const LoadContext& context, const flow::TableTarget& target, const flow::ScanContext& scan_context,
              size_t number, engine::Connection& connection);

    /// Manifests, shape, places; refuses what the policy refuses.
    Status prepare(const data::Schema& source);
    /// Pulls the scan to its end into files.
    Status stage(flow::Scan& scan);
    /// The mode's own step from raw files to final ones.
    Status merge_with_published();
    Result<StagedTable> finish();

  private:
    bool keyed() const { return target_.mode == flow::Mode::merge || target_.mode == flow::Mode::history; }
    Path folder() const { return context_.unit.absolute() / std::to_string(number_); }
    Path raw_folder() const { return folder() / "raw"; }
    Path data_folder() const;
    /// What the shape calls a source column, "" where it has none.
    std::string name_in_shape(const std::string& source_column) const;
    Status find_key_and_cursor();
    Status choose_places();
    Status check_only_ours() const;
    /// The table's columns from the scan, in the types of the shape.
    std::string select_scan(const std::string& scan) const;
    /// The same from the files of a batch.
    std::string select_published(const Manifest& manifest, const std::vector<DataFile>& files) const;
    Status write_raw(const std::string& select);
    Status write_final(const std::string& select);
    bool may_hold_negative_zero() const;  ///< by the columns' types
    /// Whether rows can be written with dictionaries as they are; the select is run for it.
    Result<bool> has_no_negative_zero(const std::string& select);
    /// No decision, folder or mode changes what the published files look like.
    bool nothing_to_rewrite() const;
    /// Raw files are the final ones as they are.
    Status take_raw();

    // table_append.cc
    Status leave_out_published();
    Result<std::vector<std::pair<const Manifest*, std::vector<DataFile>>>> batches_in_reach(
        const std::vector<Manifest>& live) const;

    // table_log.cc
    /// By position, where changes are written and nothing else is asked for.
    std::vector<std::string> order() const;
    Status count_deletes();
    /// Before a log of changes gets all rows anew: a truncate, right after the last transaction that it has. "" while it has none.
    Result<std::string> truncate_row() const;

    // table_merge.cc
    Status merge_by_key();
    Status choose_winners(const std::string& published);
    /// A condition on S and T of one key: S must not replace T. "false" where that cannot be.
    std::string outdated() const;
    /// The key must tell rows of a select apart.
    Status check_keys_once(const std::string& select);
    /// The columns that the source has, to compare rows by.
    std::vector<engine::ComparedColumn> compared() const;
    Error blame_update_when(Error error) const;

    // table_history.cc
    Status keep_history();
    Status find_versions(const std::string& published);
    bool cursor_is_time() const;

    // table_keys.cc
    /// Leaves in `picked_` rows whose values in `unique` are never NULL in the key and there once.
    Status pick_unique(const std::vector<std::string>& unique);
    Status reject_null_keys();
    Status reject_rows(const std::string& from, const std::string& code, const std::string& reason);
    /// The published rows in the shape of now; "" when there are none.
    Result<std::string> select_all_published();

    const LoadContext& context_;
    const flow::TableTarget& target_;
    const flow::ScanContext& scan_context_;
    size_t number_;
    engine::Connection& connection_;

    std::optional<Manifest> newest_;
    data::Schema scan_;    ///< what the scan brings
    data::Schema source_;  ///< what of it is written: the same, of changes their log
    Shape shape_;
    data::Schema schema_;           ///< of the shape, without what history adds
    std::vector<std::string> key_;  ///< the key's columns as the shape calls them
    std::string cursor_;            ///< the cursor's column as the shape calls it, "" without one
    std::vector<Partition> partitions_;
    std::string expanded_;         ///< the target's path with its time parts filled in
    std::string scope_;            ///< the folder that is swapped; "" where one is added
    std::string run_name_;         ///< the folder of this run below the path
    std::vector<DataFile> raw_;    ///< relative to raw_folder()
    std::vector<DataFile> files_;  ///< final ones, relative to data_folder()
    std::string picked_;           ///< SELECT of the staged rows that take part, by key
    int64_t added_ = 0;            ///< rows of the files that are not the scan's
    bool unchanged_ = false;       ///< what is published stays the table
    flow::Counts counts_;
};

/// All the steps.
Result<StagedTable> load_table(const LoadContext& context, const flow::TableTarget& target, flow::Scan& scan,
                               const flow::ScanContext& scan_context, size_t number);

/// The columns history adds, as they stand in the files.
data::Schema with_validity(data::Schema schema);

}  // namespace penstock::parquet
