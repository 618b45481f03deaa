#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "engine/database.h"
#include "engine/exactness.h"
#include "engine/scan_function.h"
#include "flow/change.h"
#include "flow/scan.h"
#include "flow/sink.h"

namespace penstock::engine {

/// A column of the source's table as a staged change has it.
struct ChangedColumn {
    size_t field;        ///< index into the source's schema
    std::string source;  ///< its name there
    std::string name;    ///< as staged
    data::Type type;     ///< as staged
    std::string value;   ///< SQL of the scan's value: "a", CAST("a" AS BIGINT)
};

/// A part of changes to be applied: what every target of changes works from.
struct ChangedPart {
    Connection& connection;
    LentScan& scan;
    const flow::TableTarget& target;
    const flow::ScanContext& context;
    std::vector<ChangedColumn> columns;
    std::vector<std::string> key;  ///< names of staged columns; empty: rows are told apart by all their values

    /// By the source's name; nullptr where it is not carried.
    const ChangedColumn* find(std::string_view source) const;
};

/// A part of changes in a TEMP table of the embedded engine, whatever system the target is: every row, and beside the columns of the
/// table those of flow/change.h. Its row ids stay, and rise with the positions, whose place they take in aggregates: the states of
/// numbers are small and can be spilled, those of texts cannot.
class StagedChanges {
  public:
    /// Pulls the scan to its end.
    static Result<StagedChanges> stage(ChangedPart part);
    Status drop();
    /// Once more, after rows were taken out of the table.
    Status measure();

    ChangedPart part;
    std::vector<std::string> key;  ///< the part's
    int64_t rows = 0;
    int64_t truncates = 0;
    int64_t unsent = 0;         ///< rows with values that were not sent
    int64_t moved = 0;          ///< rows with an identity
    std::string last_truncate;  ///< its position, as an SQL literal
    std::string first_position, last_position;

    Result<int64_t> run(const std::string& sql) { return part.connection.execute(sql); }
    /// "S.a, S.b": the table's columns.
    std::string columns(std::string_view prefix = {}) const;
    std::string keys(std::string_view prefix = {}) const;
    /// "T.a = S.a AND T.b = S.b" of the key.
    std::string on_key(std::string_view left, std::string_view right) const;
    /// To compare rows by all their values.
    std::vector<ComparedColumn> compared() const;
    /// Truncates of the part: (position, committed_at).
    std::string truncates_table() const;
    /// " FROM table S ASOF LEFT JOIN … X": beside each row the truncate (X.position, X.committed_at) that comes next after its
    /// position, which also says between which two it is.
    std::string dated(const std::string& table, std::string_view alias) const;
    /// A staged row as JSON, as rejects show it: an SQL expression.
    std::string row_json(bool key_only) const;

  private:
    explicit StagedChanges(ChangedPart of) : part(std::move(of)), key(part.key) {}
    Result<bool> in_order();
    Status put_in_order();
};

inline constexpr const char* staged_changes = "temp.main.penstock_changes";

/// Without key there is nothing to find a value by that was not sent.
Error unsent_without_key(const StagedChanges& changes);

/// Of a mirror: which change of each key decides, as the table `winners`, one row a key: (key…, penstock_content,
/// penstock_position, penstock_op, penstock_deleted). Content is the row id of the staged row that has the values, NULL where none
/// has. Under hard deletes what came before the last truncate falls away; under soft ones (`keeps_deleted`) it is there, deleted by
/// the truncate that came next, so that the target does not depend on where parts begin, and a deleted row has the last values that
/// are known of it.
Status find_winners(StagedChanges& changes, bool keeps_deleted);
/// Winners whose content is in `lost` (id) have none: whoever stood under their key before is gone all the same.
Status leave_out_lost_winners(StagedChanges& changes, const std::string& lost);
/// Staged rows that a mirror has to complete: SELECT rowid AS id.
std::string unsent_winners(bool keeps_deleted);
/// What a mirror counts: under soft deletes each truncate is a change of its own; under hard ones the last supersedes the others.
Result<flow::Counts> count_winners(StagedChanges& changes, bool keeps_deleted, int64_t lost);
inline constexpr const char* winners = "temp.main.penstock_winners";

/// Of a history: every change that `among` (a condition on rowid) lets through with the next one of its key, as the table `events`:
/// (penstock_id, key…, penstock_op, penstock_position, penstock_committed_at, penstock_first, penstock_next_op, …); the next one is
/// 't' where a truncate comes before any other.
Status chain_events(StagedChanges& changes, const std::string& among);
inline constexpr const char* events = "temp.main.penstock_events";

}  // namespace penstock::engine
