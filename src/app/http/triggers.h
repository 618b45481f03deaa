#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/http/invocations.h"
#include "app/http/message.h"
#include "app/http/server.h"
#include "config/document.h"
#include "io/id_token.h"

namespace penstock::app::http {

/// The paths that start pipelines: who may, what a message must be, and which
/// answer makes its sender do the right thing. docs/how-to/triggers.md has the
/// table of status codes. Any thread.
class Triggers {
  public:
    static Result<std::unique_ptr<Triggers>> open(const config::Document& document, Invocations& invocations);

    /// Whether this is a trigger's path; if so the reply is taken care of.
    bool take(const Request& request, const Reply& reply);
    /// GET /runs/ID
    Response show(const Request& request, const std::string& invocation);
    /// Of a path's requests; of others, hardly anything.
    size_t most_bytes(const std::string& path) const;
    /// Goes on with messages that nobody will deliver again, and whose process is
    /// gone.
    Status adopt_orphans();

    const std::vector<std::string>& pipelines() const { return names_; }

  private:
    struct Point {
        const config::PipelineConfig* pipeline;
        MessageSchema schema;
        std::unique_ptr<io::IdTokenVerifier> verifier;
        const config::Trigger& trigger() const { return *pipeline->trigger; }
    };
    enum class Sender { anybody, token, push };

    Triggers(const config::Document& document, Invocations& invocations)
        : document_(document), invocations_(invocations) {}
    Result<Sender> sender(Point& point, const Request& request) const;
    void take_message(Point& point, const Request& request, Sender sender, const Reply& reply);
    Response refuse(const state::Message& message, std::vector<Violation> violations) const;
    void start(state::Message message, Parameters parameters, bool waits, std::chrono::milliseconds most,
               const Reply& reply);

    const config::Document& document_;
    Invocations& invocations_;
    std::map<std::string, Point> points_;  ///< by path
    std::vector<std::string> names_;
};

}  // namespace penstock::app::http
