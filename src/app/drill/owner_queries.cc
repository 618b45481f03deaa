#include "app/drill/owner_queries.h"

#include <poll.h>

#include <chrono>

namespace penstock::app {
namespace {

using std::chrono::steady_clock;
using PieceOfAnswer = std::unique_ptr<PGresult, decltype(&PQclear)>;

constexpr size_t longest_first_value = 1000;

Error refused(const postgres::Session& session, const PGresult* result, const std::string& sql) {
    auto part = [&](int field) {
        const char* text = PQresultErrorField(result, field);
        return std::string(text == nullptr ? "" : text);
    };
    return postgres::server_error(session.place(), part(PG_DIAG_SQLSTATE), part(PG_DIAG_MESSAGE_PRIMARY),
                                  part(PG_DIAG_MESSAGE_DETAIL), part(PG_DIAG_MESSAGE_HINT), sql);
}

void take_rows(const PGresult* result, QueryOutcome& outcome) {
    int rows = PQntuples(result);
    if (outcome.rows == 0 && rows > 0 && PQnfields(result) > 0 && PQgetisnull(result, 0, 0) == 0)
        outcome.first = std::string(PQgetvalue(result, 0, 0)).substr(0, longest_first_value);
    outcome.rows += rows;
}

/// Until the answer's next piece is here. A stop cancels the query, whose answer is then an error.
void wait_for_answer(postgres::Session& session, const std::stop_token& stop, bool& cancelled) {
    while (PQisBusy(session.raw()) != 0) {
        if (stop.stop_requested() && !std::exchange(cancelled, true)) session.cancel();
        pollfd wait{.fd = PQsocket(session.raw()), .events = POLLIN, .revents = 0};
        ::poll(&wait, 1, 100);
        if (wait.revents != 0 && PQconsumeInput(session.raw()) == 0) return;
    }
}

QueryOutcome ask(postgres::Session& session, const std::string& sql, const std::stop_token& stop) {
    QueryOutcome outcome{.sql = sql};
    auto begin = steady_clock::now();
    bool cancelled = false;
    PQsendQuery(session.raw(), sql.c_str());
    PQsetSingleRowMode(session.raw());
    while (true) {
        wait_for_answer(session, stop, cancelled);
        PieceOfAnswer answer(PQgetResult(session.raw()), PQclear);
        if (!answer) break;
        auto status = PQresultStatus(answer.get());
        bool good = status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ||
                    status == PGRES_EMPTY_QUERY;
        if (good) take_rows(answer.get(), outcome);
        else if (!outcome.error) outcome.error = refused(session, answer.get(), sql);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) break;
    }
    outcome.seconds = std::chrono::duration<double>(steady_clock::now() - begin).count();
    return outcome;
}

}  // namespace

Result<std::vector<QueryOutcome>> ask_queries(const Sandbox& sandbox, const std::string& database,
                                              const std::vector<config::Text>& queries, const std::stop_token& stop) {
    std::vector<QueryOutcome> outcomes;
    for (const auto& query : queries) {
        // Each in a session of its own: none can change what another one sees.
        PN_TRY(auto session, sandbox.connect(database, stop));
        outcomes.push_back(ask(*session, query.value, stop));
        if (stop.stop_requested())
            return fail(
                {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "stopped while queries were asked"});
        auto& error = outcomes.back().error;
        if (error) error->where = query.place.text();
    }
    return outcomes;
}

}  // namespace penstock::app
