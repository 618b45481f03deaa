#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/secret.h"
#include "data/holds.h"
#include "flow/dataset.h"
#include "flow/ledger.h"
#include "flow/sink.h"
#include "flow/slots.h"
#include "flow/source.h"

namespace penstock::config {
class Node;
class SpecBase;
struct PipelineConfig;
}  // namespace penstock::config

namespace penstock::io {
class ObjectStore;
struct Delivery;
}  // namespace penstock::io

namespace penstock::flow {

class PayloadDecoder;
class ComparedSource;
class ComparedTarget;
class Purse;

/// What `doctor` says about a connection; `fix` is what to do, "" when all is well.
struct Finding {
    enum class Severity { ok, warning, problem };
    Severity severity = Severity::ok;
    std::string what;
    std::string detail;
    std::string fix;
};

/// What a command line narrows one run to. The checkpoint never moves past rows that were left out.
struct ReadBounds {
    int64_t limit = -1;  ///< rows of each table; -1: all
    std::string from;    ///< cursor values as text; "": from the checkpoint on, up to the end
    std::string to;

    bool any() const { return limit >= 0 || !from.empty() || !to.empty(); }
};

/// All a component needs to come to life; references live as long as the program's configuration.
struct BuildContext {
    const config::PipelineConfig& pipeline;
    const config::Node& connection;  ///< the mapping under `connections:`
    std::string connection_name;
    std::filesystem::path directory;            ///< of penstock.yaml; relative paths start here
    unsigned parallel = 1;                      ///< resolved from `parallel: auto`
    uint64_t memory_bytes = 0;                  ///< the whole pipeline's budget; of a stream's, this side's share
    data::Holds holds = {};                     ///< of the target; for sources
    bool light_commits = false;                 ///< of the target; for sources that choose when a segment is full
    std::chrono::microseconds commit_every{0};  ///< likewise: a target whose commits cost is given few
    ReadBounds bounds = {};                     ///< for sources that take them
    bool follow = false;                        ///< for streams: go on when everything was read
    std::string run_id = {};                    ///< "" where nothing is run
    std::shared_ptr<Purse> purse = {};          ///< of the run or the plan; else null
    /// The moment whose rows are wanted instead of now's; for sources that take one.
    std::optional<TimePoint> as_of = {};
    /// Of a stream of events whose messages are kept: the place of its `archive`.
    std::function<Result<std::shared_ptr<io::ObjectStore>>()> open_archive = {};
    /// Where the project's state is, for targets that have no place for checkpoints of their own: an URL, and where relative
    /// paths in it start.
    Secret state = {};
    std::filesystem::path state_directory = {};
};

/// A kind of connection and what can be done with it. `validate` does no I/O, `build` may connect and starts no thread.
/// Absent abilities are null. The one list of these is app/components.cc.
struct Component {
    std::string_view type;  ///< `type:` of a connection
    std::string_view doc;
    const config::SpecBase& (*connection_spec)() = nullptr;
    const config::SpecBase& (*source_spec)() = nullptr;
    const config::SpecBase& (*target_spec)() = nullptr;
    /// Whether the pipeline's source goes on for ever: a stream, which a run drains or follows.
    bool (*is_stream)(const BuildContext&) = nullptr;
    /// Whether its stream is one of events, which the pipeline's `route` gives their tables, and not of changes.
    bool (*is_routed)(const BuildContext&) = nullptr;
    /// What turns the payloads of such events into JSON; it may give null. Absent: they are JSON.
    Result<std::shared_ptr<PayloadDecoder>> (*payload_decoder)(const BuildContext&) = nullptr;
    Status (*validate_source)(const BuildContext&) = nullptr;
    Status (*validate_target)(const BuildContext&) = nullptr;
    Result<std::unique_ptr<Source>> (*build_source)(const BuildContext&) = nullptr;
    /// The rows of these rejects, read again by key, or from their payload where there is none. Its checkpoints are those it
    /// is given: a replay moves none.
    Result<std::unique_ptr<Source>> (*build_replay_source)(const BuildContext&,
                                                           const std::vector<RejectRecord>&) = nullptr;
    bool takes_bounds = false;  ///< the source honours BuildContext::bounds
    bool takes_as_of = false;   ///< …and BuildContext::as_of
    Result<std::unique_ptr<Sink>> (*build_sink)(const BuildContext&) = nullptr;
    /// The target's name for a source table, from the pipeline's target options: "ecommerce.fct_events", a path.
    Result<std::string> (*target_name)(const BuildContext&, const TableInfo&) = nullptr;
    /// Both sides of a pipeline as something to be compared (flow/comparison.h). Neither writes anything.
    Result<std::unique_ptr<ComparedSource>> (*compare_source)(const BuildContext&, std::stop_token stop) = nullptr;
    Result<std::unique_ptr<ComparedTarget>> (*compare_target)(const BuildContext&, std::stop_token stop) = nullptr;
    /// What was written beside the data. Never creates the target; writes only in Ledger::resolve.
    Result<std::unique_ptr<Ledger>> (*open_ledger)(const BuildContext&) = nullptr;
    data::Holds target_holds = {};
    bool light_commits =
        false;  ///< a commit of few rows costs the target little more than the rows: a log, not a table
    /// How long a stream waits between two commits at least, by the target's options: where each has a price.
    std::chrono::microseconds (*commit_every)(const config::Node& target) = nullptr;
    bool keeps_streams = false;   ///< the sink keeps where a stream goes on (Segment::stream)
    bool answers_checks = false;  ///< Sink::checked and Ledger::checked are there
    bool shows_rejects = false;   ///< the sink makes the pipeline's view of its rejects (flow/reject_view.h)
    bool takes_changes = false;   ///< the sink applies parts of changes (flow/change.h)
    bool logs_changes = false;    ///< …by keeping each as a row: in mode append, and in no other
    /// The target's own name of a column's type: "DECIMAL(12,2)". For `penstock types`.
    std::string (*target_type)(const data::Field&) = nullptr;
    /// Every table of a database that somebody may want to load, for `penstock init --from`: their cursor is a guess, a
    /// column whose name and type say that it is set at each change. `connection` is a mapping as under `connections:`.
    Result<std::vector<TableInfo>> (*discover_all)(const config::Node& connection,
                                                   const std::filesystem::path& directory,
                                                   std::stop_token stop) = nullptr;
    Result<std::vector<Finding>> (*doctor)(const config::Node& connection, const std::filesystem::path& directory,
                                           std::stop_token stop) = nullptr;
    /// The connection's place as objects by name, where an event stream's archive may be.
    Result<std::shared_ptr<io::ObjectStore>> (*open_store)(const config::Node& connection) = nullptr;
    /// What a stream's own checkpoint (Segment::stream) says of tables that are not captured as they should be.
    std::vector<std::string> (*troubles)(const Checkpoint& stream) = nullptr;
    /// What a pipeline's source needs of its server beyond a connection. Nothing where it needs no more.
    Result<std::vector<Finding>> (*examine_source)(const BuildContext&, std::stop_token stop) = nullptr;
    /// The name of the slot that a pipeline's stream reads; "" when it reads none.
    std::string (*slot_of)(const BuildContext&) = nullptr;
    Result<std::unique_ptr<Slots>> (*open_slots)(const config::Node& connection, const std::filesystem::path& directory,
                                                 std::stop_token stop) = nullptr;
    /// What a table of the source is read from: several topics, nothing of a query. And what one of the target, by its name there, is.
    Result<std::vector<Dataset>> (*source_datasets)(const BuildContext&, const TableInfo&) = nullptr;
    Result<Dataset> (*target_dataset)(const BuildContext&, const std::string& table) = nullptr;
    /// Tells whoever is behind the connection of news: an object with texts `id`, `title` and `text`, and whatever else is known.
    io::Delivery (*tell)(const config::Node& connection, const nlohmann::ordered_json& news,
                         std::stop_token stop) = nullptr;
};

}  // namespace penstock::flow
