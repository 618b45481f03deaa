#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

#include "state/place.h"
#include "state/soci.h"

namespace penstock::state {

/// How long a process waits for another one's transaction; all of ours are short.
inline constexpr std::chrono::seconds busy_time{20};

/// What a failure of the database means for what was under way.
enum class Fault {
    none,
    overtaken,  ///< a deadlock or lock wait: taken back by the server, and worth doing again
    lost,       ///< the server is away or cut the connection; it may be back soon
    final_one,  ///< it will not go better a second time
};

/// All that differs between the three databases. Statements are written once: a table of ours is `penstock.runs` in them, and
/// types that differ are {words} in migrations.
class Dialect {
  public:
    static const Dialect& of(Engine engine);
    virtual ~Dialect() = default;

    /// Opens the session and sets what our statements rely on.
    virtual void connect(soci::session& session, const Place& place) const = 0;
    /// A statement of ours as this database has it.
    virtual std::string translated(std::string statement) const = 0;
    /// The text of a migration, before it is translated.
    virtual std::string with_types(soci::session& sql, std::string_view migration) const = 0;
    /// Begins a transaction which no other one of ours runs beside, so that what it reads stays true until its end.
    virtual void begin_alone(soci::session& sql) const = 0;
    /// Tables of this name that are ours or would be taken for ours.
    virtual bool has_table(soci::session& sql, const std::string& name) const = 0;
    /// Keeps other processes from changing the schema. `begin` is within a transaction where DDL can be taken back.
    virtual void begin_schema(soci::session& sql) const = 0;
    virtual void end_schema(soci::session& sql) const = 0;
    /// Whether a statement of a migration fails so because an attempt that was cut off had done it.
    virtual bool done_before(const std::exception&) const { return false; }
    /// What a commit wrote must outlive a power cut, from now on. A warning where the server does not promise that.
    virtual std::string make_durable(soci::session& sql) const = 0;
    /// "MariaDB 10.11.19, over TLS"
    virtual std::string version(soci::session& sql) const = 0;

    virtual Fault fault(soci::session& sql, const std::exception& error) const = 0;
    /// Never holds bound values or the password.
    virtual Error error_of(const Place& place, const std::exception& error) const = 0;
};

const Dialect& sqlite_dialect();
const Dialect& mysql_dialect();
const Dialect& postgres_dialect();

/// The library's words without the statement and the values it was given.
std::string message_of(const std::exception& error);
void replace_each(std::string& text, std::string_view what, std::string_view with);
/// An error of a server that said no, or that did not answer.
Error server_refused(const Place& place, const std::exception& error);
Error server_unavailable(const Place& place, const std::exception& error);
Error server_busy(const Place& place);

}  // namespace penstock::state
