#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "app/pipeline.h"

namespace penstock::app {

using NamedValues = std::vector<std::pair<std::string, std::optional<std::string>>>;

/// One commit of the pipeline to the table, as the target has it on record.
struct CommittedBatch {
    std::string run_id, batch, cursor_from, cursor_to, read_at, committed_at;
};

/// All that there is to say of one row of a target, or of why it is not there.
struct Whereabouts {
    std::string pipeline, source, target;
    bool stream = false;               ///< the table is captured
    std::vector<NamedValues> rows;     ///< of the target; several versions of a history
    std::optional<CommittedBatch> by;  ///< that brought it, as far as its cursor or position tells
    std::string by_reason;             ///< how that is known
    std::string cursor, position;      ///< the row's own; "" none
    int64_t schema_version = 0;
    std::vector<flow::ValidationRecord> checks;  ///< of that run and table
    std::vector<flow::RejectRecord> rejects;     ///< of this key
    std::optional<NamedValues> at_source;        ///< as it is there now; nothing: it is not there, or nobody can ask
    bool source_asked = false;
    std::string moment;     ///< of the source
    bool newer = false;     ///< changed there since the checkpoint
    bool filtered = false;  ///< the source has it, and the pipeline's `where` leaves it out
    bool deleted = false;   ///< marked as deleted, or its last version is closed
    std::string differs;    ///< columns in which source and target differ, joined

    /// The answer in a sentence.
    std::string verdict() const;
};

/// `table` as the target or the source calls it; `key` names columns of the target and canonical texts.
Result<Whereabouts> find_row(const config::Document& document, const std::string& table,
                             const std::vector<std::pair<std::string, std::string>>& key, const std::string& pipeline,
                             std::stop_token stop);

std::string whereabouts_text(const Whereabouts& row);
nlohmann::ordered_json whereabouts_json(const Whereabouts& row);

}  // namespace penstock::app
