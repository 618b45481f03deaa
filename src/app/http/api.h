#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "app/commands.h"
#include "app/http/api_route.h"
#include "app/http/kept_answers.h"
#include "app/http/server.h"

namespace penstock::app::http {

/// /api/v1: who asks, whether he may, whether what he asks is right; then the route's handler. Whatever changes anything is on record
/// (state/audit.h) before it is done. Where the configuration has no tokens, this machine alone may look. Any thread.
class Api {
  public:
    /// Both must outlive this; the document is as `read_project` gives it.
    Api(const Session& session, const config::Document& document) : session_(session), document_(document) {}

    /// Whether this is one of its paths; if so it is answered.
    bool take(const Request& request, const Reply& reply);
    /// For what is beside the API, such as metrics: where the configuration has tokens, nothing is shown without one.
    std::optional<Response> refusal_to_look(const Request& request) const;

  private:
    struct Asker {
        std::string name;
        config::Role role;
    };
    Response answer(const Request& request);
    Result<Asker> asker(const Request& request) const;
    Response carry_out(const ApiRoute& route, const ApiCall& call, const Asker& asker);
    Response handle(const ApiRoute& route, const ApiCall& call);

    const Session& session_;
    const config::Document& document_;
    KeptAnswers kept_;
    std::atomic<int> asking_ = 0;  ///< other processes of ours
};

}  // namespace penstock::app::http
