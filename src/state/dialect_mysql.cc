// MySQL 8 and MariaDB: tables are named penstock_… in the database that the URL names, because it may hold others.
#include <fmt/format.h>
#include <soci/mysql/soci-mysql.h>

#include <algorithm>
#include <array>

#include "state/dialect.h"

namespace penstock::state {
namespace {

// Error numbers: MySQL's "Server Error Message Reference" and "Client Error Message Reference", MariaDB's "Error Codes".
constexpr std::array<unsigned, 3> overtaken = {
    1020,  // record has changed since last read
    1205,  // lock wait timeout
    1213,  // deadlock
};
constexpr std::array<unsigned, 14> away = {
    1040,                    // too many connections
    1053,                    // server shutdown in progress
    1077, 1079,              // normal shutdown, shutdown complete
    1158, 1159, 1160, 1161,  // network read and write errors and timeouts
    1290, 1836,              // read only: a failover under way
    1927,                    // connection was killed
    3169,                    // session was killed
    4031,                    // disconnected for inactivity
    1317,                    // interrupted
};
constexpr std::array<unsigned, 7> client_away = {2002, 2003, 2005, 2006, 2012, 2013, 2055};

unsigned number_of(const std::exception& error) {
    const auto* mysql = dynamic_cast<const soci::mysql_soci_error*>(&error);
    return mysql != nullptr ? mysql->err_num_ : 0;
}

bool among(unsigned number, auto&& numbers) { return std::ranges::find(numbers, number) != std::end(numbers); }

std::string one_value(soci::session& sql, const std::string& query) {
    std::string value;
    soci::indicator absent = soci::i_null;
    sql << query, soci::into(value, absent);
    return absent == soci::i_ok ? value : "";
}

MYSQL* mysql_of(soci::session& sql) { return static_cast<soci::mysql_session_backend*>(sql.get_backend())->conn_; }

class Mysql : public Dialect {
  public:
    void connect(soci::session& session, const Place& place) const override {
        session.open(soci::mysql, place.connect.reveal());
        // The library takes "TLS, unverified" for a wish that the server need not grant.
        if (place.encrypted && mysql_get_ssl_cipher(mysql_of(session)) == nullptr)
            throw soci::mysql_soci_error("the server offers no TLS, and the URL asks for it", 2026);
        // Strict: a text that does not fit is an error, never cut. An idle connection is ended, and with it a transaction
        // whose process stands still; ours connect again when they need to.
        session << "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', SESSION "
                   "innodb_lock_wait_timeout = 20, "
                   "SESSION wait_timeout = 60, SESSION autocommit = 1";
        session << "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    }

    std::string translated(std::string statement) const override {
        replace_each(statement, "penstock.", "penstock_");
        return statement;
    }

    /// Names that differ in case or in blanks at their end are different names, which most collations do not think.
    std::string with_types(soci::session& sql, std::string_view migration) const override {
        std::string collation =
            one_value(sql,
                      "SELECT min(collation_name) FROM information_schema.collations WHERE collation_name "
                      "IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')");
        if (collation.empty())
            throw soci::mysql_soci_error("this server is too old: MySQL 8.0.17 or MariaDB 10.2 is needed", 1273);
        std::string text(migration);
        replace_each(text, "{name}", "VARCHAR(255)");
        replace_each(text, "{text}", "LONGTEXT");
        replace_each(text, "{double}", "DOUBLE");
        replace_each(
            text, "{options}",
            fmt::format("ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4 COLLATE = {}", collation));
        return text;
    }

    void begin_alone(soci::session& sql) const override {
        sql << "START TRANSACTION";
        long long version = 0;
        sql << "SELECT version FROM penstock.schema_version FOR UPDATE", soci::into(version);
    }

    bool has_table(soci::session& sql, const std::string& name) const override {
        std::string ours = "penstock_" + name;
        long long count = 0;
        sql << "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = :name",
            soci::use(ours), soci::into(count);
        return count != 0;
    }

    /// DDL commits by itself here, so an attempt that was cut off is gone on with.
    void begin_schema(soci::session& sql) const override {
        if (one_value(sql, fmt::format("SELECT get_lock(concat('penstock ', left(sha2(database(), 256), 16)), {})",
                                       busy_time.count())) != "1")
            throw soci::mysql_soci_error("another process has been making the schema for too long", 1205);
    }
    void end_schema(soci::session& sql) const override {
        one_value(sql, "SELECT release_lock(concat('penstock ', left(sha2(database(), 256), 16)))");
    }

    bool done_before(const std::exception& error) const override {
        return among(number_of(error), std::array<unsigned, 3>{1050, 1060, 1061});  // table, column, index exists
    }

    std::string make_durable(soci::session& sql) const override {
        if (one_value(sql, "SELECT @@innodb_flush_log_at_trx_commit") == "1") return {};
        return "innodb_flush_log_at_trx_commit is not 1: a power cut at the server can take back checkpoints of buses "
               "that the "
               "source was told of; set it to 1";
    }

    std::string version(soci::session& sql) const override {
        std::string version = one_value(sql, "SELECT version()");
        auto end = version.find('-');
        return (version.find("MariaDB") != version.npos ? "MariaDB " : "MySQL ") + version.substr(0, end) +
               (mysql_get_ssl_cipher(mysql_of(sql)) != nullptr ? ", over TLS" : ", not encrypted");
    }

    Fault fault(soci::session&, const std::exception& error) const override {
        unsigned number = number_of(error);
        if (among(number, overtaken)) return Fault::overtaken;
        return among(number, away) || among(number, client_away) ? Fault::lost : Fault::final_one;
    }

    Error error_of(const Place& place, const std::exception& error) const override {
        unsigned number = number_of(error);
        if (among(number, overtaken)) return server_busy(place);
        if (among(number, away) || among(number, client_away)) return server_unavailable(place, error);
        auto refused = server_refused(place, error);
        if (number == 1153 || number == 2020) refused.hint = "raise max_allowed_packet of the server";
        if (number == 1406)
            refused.hint =
                "MySQL holds names up to 255 characters here: shorten the table's, or keep the state in PostgreSQL or "
                "SQLite";
        return refused;
    }
};

}  // namespace

const Dialect& mysql_dialect() {
    static const Mysql dialect;
    return dialect;
}

}  // namespace penstock::state
