#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "check/expectation.h"
#include "check/reference.h"
#include "config/document.h"
#include "flow/comparison.h"
#include "flow/component.h"
#include "flow/runner.h"

namespace penstock::archive {
class ArchiveStream;
struct ReplayRange;
}  // namespace penstock::archive

namespace penstock::app {

struct Program;

/// A pipeline of the configuration with the components that read and write it. Holds no connection: what it builds does.
/// The document must outlive it and all it builds.
class Pipeline {
  public:
    static Result<Pipeline> find(const config::Document& document, const std::string& name);

    const std::string& name() const { return config_->name; }
    const config::PipelineConfig& config() const { return *config_; }
    const config::Document& document() const { return *document_; }
    /// What a table is read from and written to, as others call it; nothing where that is not known.
    std::vector<flow::Dataset> datasets_of(const flow::TableInfo& table) const;
    std::optional<flow::Dataset> dataset_of(const flow::TableTarget& table) const;
    const std::string& target_connection() const { return target_.connection_name; }
    const std::string& source_connection() const { return source_.connection_name; }
    /// That the source's stream reads; "" none.
    std::string slot() const;
    /// What stands in the source's way on its server, or may soon.
    Result<std::vector<flow::Finding>> examine_source(std::stop_token stop) const;

    /// Work of another program, which has neither source nor target (app/work/work.h).
    bool is_work() const { return config_->work() != nullptr; }
    /// Of such: what a run would start.
    Result<Program> program(bool full_refresh) const;

    /// What can be found wrong without connecting.
    Status validate() const;

    /// The rows of these rejects, read again. Refused where the source cannot.
    Result<std::unique_ptr<flow::Source>> build_replay_source(const std::vector<flow::RejectRecord>& rejects) const;

    /// Of a stream of events that is archived: what its archive has of a time, as messages and as a source.
    Result<std::unique_ptr<archive::ArchiveStream>> open_archive(archive::ReplayRange range) const;
    Result<std::unique_ptr<flow::Source>> build_archive_source(archive::ReplayRange range) const;

    /// Narrows what is read; refused where the source cannot.
    Status limit(const flow::ReadBounds& bounds);
    /// Reads what was there at that moment; refused where the source cannot.
    Status travel_to(TimePoint as_of);

    /// Whether it goes on for ever unless it is drained.
    bool is_stream() const;
    /// Whether it is a stream of events, which `route` gives their tables.
    bool is_routed() const;
    /// Of a stream: whether a run goes on when everything was read.
    void set_follow(bool follow) { source_.follow = follow; }
    bool follows() const { return is_stream() && source_.follow; }
    /// How long a stream waits between two commits at least; 0: as the source likes.
    std::chrono::microseconds commit_every() const { return source_.commit_every; }

    Result<std::unique_ptr<flow::Source>> build_source() const;
    Result<std::unique_ptr<flow::Sink>> build_sink() const;
    /// Null when the target keeps none.
    Result<std::unique_ptr<flow::Ledger>> open_ledger() const;

    /// Both sides, to be compared. Refused where one cannot be.
    Result<std::unique_ptr<flow::ComparedSource>> compare_source(std::stop_token stop) const;
    Result<std::unique_ptr<flow::ComparedTarget>> compare_target(std::stop_token stop) const;
    /// The slots of the source's server.
    Result<std::unique_ptr<flow::Slots>> open_slots(std::stop_token stop) const;

    /// How a table of the source is written: the target options, matched with what the source knows of the table.
    Result<flow::TableTarget> target_for(const flow::TableInfo& info) const;
    /// The target's own name of a type.
    std::string target_type(const data::Field& field) const;

    /// Whether `verify` can say of it that source and target are equal.
    Status check_comparable() const;

    /// What `checks` ask, suites read.
    Result<std::vector<check::Expectation>> expectations() const;
    /// What they may compare with: runs of the past, and other tables, which are paid for from the purse.
    check::Reference reference(std::shared_ptr<flow::Purse> purse) const;

    /// What `status` says of tables that the stream's checkpoint has set aside.
    std::vector<std::string> stream_troubles(const flow::Checkpoint& stream) const;

    flow::RunRequest request(const std::string& run_id, bool full_refresh = false) const;

  private:
    Status validate_checks() const;
    Status validate_last(const check::Expectation& one) const;
    Result<std::unique_ptr<flow::Source>> with_checks(Result<std::unique_ptr<flow::Source>> source,
                                                      std::shared_ptr<flow::ValidationLog> log, bool some_rows,
                                                      std::shared_ptr<flow::Purse> purse = {}) const;
    bool any_check_rejects() const;
    Status check_answers(flow::Sink& sink) const;
    /// Lets a run check what it writes, and a plan tell the price of that.
    void check_tables_of(flow::RunRequest& request) const;
    Result<std::optional<flow::Expected>> price_checks(flow::CheckedTarget* asked, const flow::TableTarget& target,
                                                       const std::shared_ptr<flow::Purse>& purse, bool planned) const;
    Result<std::unique_ptr<flow::Source>> with_steps(Result<std::unique_ptr<flow::Source>> source) const;
    Status validate_stream() const;
    Status validate_log() const;
    Status validate_route() const;
    Status validate_archive() const;
    Status validate_rejects() const;
    Status check_archive() const;
    const config::Located<config::Step>* step_over(const flow::Reject& reject) const;
    Status check_replay(const std::vector<flow::RejectRecord>& rejects) const;
    Status validate_read() const;
    config::TargetOptions options_for(const flow::TableInfo& info) const;
    Error at_target(std::string code, std::string message, std::string hint) const;
    Pipeline(const config::Document& document, const config::PipelineConfig& config, config::TargetOptions options);

    Result<std::vector<std::string>> known_columns(const std::vector<config::Text>& names, const flow::TableInfo& info,
                                                   std::string_view option) const;

    const config::Document* document_;
    const config::PipelineConfig* config_;
    config::TargetOptions options_;
    const flow::Component* source_component_;
    const flow::Component* target_component_;
    flow::BuildContext source_;
    flow::BuildContext target_;
};

/// append, replace, merge, history
std::string_view to_string(flow::Mode mode);

/// The pipelines that a command line names, in the order in which they run; all of them when it names none.
Result<std::vector<Pipeline>> select_pipelines(const config::Document& document, const std::vector<std::string>& names);

}  // namespace penstock::app
