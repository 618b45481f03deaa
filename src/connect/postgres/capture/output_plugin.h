#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connect/postgres/capture/change_intake.h"
#include "connect/postgres/capture/change_log.h"
#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// What differs between the plugins that write a slot's changes, from the plan to the log; behind the log nobody knows which
/// it was. Calls come in this order, on the source's thread.
class OutputPlugin {
  public:
    using Options = std::vector<std::pair<std::string, std::string>>;

    virtual ~OutputPlugin() = default;

    /// Whether the plugin tells all there is to know of these tables.
    virtual Status check(const ChangePlan& plan) = 0;
    /// The slot exists, nobody reads it: whether what the server has installed can do what is needed.
    virtual Status check_server(Session& session, const ChangePlan& plan) = 0;
    /// For StreamRequest::options.
    virtual Result<Options> options(const ChangePlan& plan, int server_version) = 0;
    /// For StreamRequest::on_remark: whether the remark says that a change was left out.
    virtual Status heed(const Error& remark, const ChangePlan& plan) = 0;
    virtual Result<std::unique_ptr<ChangeIntake>> intake(Session& session, ChangeLog& log,
                                                         std::vector<IntakeTable> tables, ColumnsNow columns_now) = 0;
    /// Changes have been received and are not handed out yet: whether they are of the plan's tables still.
    virtual Status check_received(Session& session, const ChangePlan& plan) = 0;

    /// Told, on the pump's thread, when the stream speaks of a relation that is none of the tables; some plugins never do.
    std::function<void()> met_other = [] {};
};

/// The one that `plugin:` names.
std::unique_ptr<OutputPlugin> make_output_plugin(const ChangesOptions& options);

}  // namespace penstock::postgres
