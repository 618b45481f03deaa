#pragma once

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/postgres/options.h"

namespace penstock::postgres {

/// How an outside check on a server's answer names the place: "connection shop (db.example:5432/shop)".
struct Place {
    std::string connection;
    std::string endpoint;
    std::string text() const;
};

/// Rows of a small query, as text. NULL is an absent value.
class Rows {
  public:
    explicit Rows(PGresult* result) : result_(result, PQclear) {}
    int count() const { return PQntuples(result_.get()); }
    bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
    std::string text(int row, int column) const { return PQgetvalue(result_.get(), row, column); }
    int64_t integer(int row, int column) const;
    double number(int row, int column) const;
    bool truth(int row, int column) const { return PQgetvalue(result_.get(), row, column)[0] == 't'; }
    const PGresult* raw() const { return result_.get(); }

  private:
    std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

/// One connection, set up to read safely: read only, UTF-8, UTC, ISO formats, row security off (so that hidden rows are
/// an error, not a loss), no idle timeouts. Belongs to one thread, but `cancel` may come from any.
class Session {
  public:
    enum class Channel {
        ordinary,
        /// To a walsender of the database, which takes replication commands and SQL without parameters. Locks are waited for
        /// without end, for that is how a slot's creation waits for transactions; a dead network is noticed within a minute.
        replication,
    };

    /// Connects; the stop token ends the wait. Failures are told apart: unreachable, refused, certificate, too many.
    static Result<std::unique_ptr<Session>> connect(const ConnectionOptions& options, const std::string& purpose,
                                                    std::stop_token stop, Channel channel = Channel::ordinary);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// A query with text parameters and a text result that fits memory. Without parameters it may be a replication command.
    Result<Rows> query(const std::string& sql, const std::vector<std::string>& parameters = {});
    Status execute(const std::string& sql);

    /// A query or replication command that may wait for others. A stop cancels it; `waiting` is called every ten seconds.
    Result<Rows> query_patiently(const std::string& sql, std::stop_token stop, const std::function<void()>& waiting);

    /// The result columns of a query without running it: names, type oids, type modifiers.
    Result<Rows> describe(const std::string& sql);

    int server_version() const { return PQserverVersion(connection_); }
    std::string parameter(const char* name) const;
    PGconn* raw() { return connection_; }
    const Place& place() const { return place_; }
    Channel channel() const { return channel_; }

    /// Asks the server to cancel what runs; any thread.
    void cancel() noexcept;

  private:
    Session(PGconn* connection, Place place, Channel channel)
        : connection_(connection), place_(std::move(place)), channel_(channel) {}
    Status prepare_session(const ConnectionOptions& options);
    Result<Rows> take(PGresult* result, const std::string& sql);

    PGconn* connection_;
    Place place_;
    Channel channel_;
};

/// "public"."events"; the only quoting of identifiers and literals in this folder.
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view text);

/// An answer with an SQLSTATE as an Error: its kind, a sentence of ours, the server's own words as cause, and what to do.
Error server_error(const Place& place, std::string_view sqlstate, std::string_view message, std::string_view detail,
                   std::string_view hint, std::string_view doing);

}  // namespace penstock::postgres
