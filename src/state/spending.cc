#include "state/spending.h"

#include <cmath>

#include "state/connection.h"

namespace penstock::state {
namespace {

long long day_of(TimePoint at) { return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count(); }
long long nano(double usd) { return std::llround(usd * 1e9); }

void add_to_run(soci::session& sql, const flow::RunIdentity& run, long long day, const flow::Charge& charged) {
    long long bytes = charged.bytes_billed, nano_usd = nano(charged.usd), slots = charged.slot_millis, rows = 0;
    sql << "SELECT count(*) FROM penstock.spending WHERE run_id = :run_id AND day_number = :day", soci::use(run.run_id),
        soci::use(day), soci::into(rows);
    if (rows == 0)
        sql << "INSERT INTO penstock.spending (run_id, day_number, pipeline, bytes_billed, nano_usd, slot_millis) "
               "VALUES "
               "(:run_id, :day, :pipeline, :bytes, :usd, :slots)",
            soci::use(run.run_id), soci::use(day), soci::use(run.pipeline), soci::use(bytes), soci::use(nano_usd),
            soci::use(slots);
    else
        sql << "UPDATE penstock.spending SET bytes_billed = bytes_billed + :bytes, nano_usd = nano_usd + :usd, "
               "slot_millis = slot_millis + :slots WHERE run_id = :run_id AND day_number = :day",
            soci::use(bytes), soci::use(nano_usd), soci::use(slots), soci::use(run.run_id), soci::use(day);
}

}  // namespace

double usd_of(long long nano_usd) { return static_cast<double>(nano_usd) / 1e9; }

const std::string spent_of_run =
    "(SELECT COALESCE(SUM(s.bytes_billed), 0) FROM penstock.spending AS s WHERE s.run_id = r.run_id) + "
    "(SELECT COALESCE(SUM(b.bytes_billed), 0) FROM penstock.bills AS b WHERE b.run_id = r.run_id) AS bytes_billed, "
    "(SELECT COALESCE(SUM(s.nano_usd), 0) FROM penstock.spending AS s WHERE s.run_id = r.run_id) + "
    "(SELECT COALESCE(SUM(b.nano_usd), 0) FROM penstock.bills AS b WHERE b.run_id = r.run_id) AS nano_usd, "
    "(SELECT COALESCE(SUM(s.slot_millis), 0) FROM penstock.spending AS s WHERE s.run_id = r.run_id) AS slot_millis";

flow::Charge spent_on_day(soci::session& sql, const std::string& pipeline, TimePoint at) {
    long long day = day_of(at), bytes = 0, nano_usd = 0, slots = 0, open_bytes = 0, open_usd = 0;
    sql << "SELECT COALESCE(SUM(bytes_billed), 0), COALESCE(SUM(nano_usd), 0), COALESCE(SUM(slot_millis), 0) FROM "
           "penstock.spending WHERE pipeline = :pipeline AND day_number = :day",
        soci::use(pipeline), soci::use(day), soci::into(bytes), soci::into(nano_usd), soci::into(slots);
    sql << "SELECT COALESCE(SUM(bytes_billed), 0), COALESCE(SUM(nano_usd), 0) FROM penstock.bills WHERE pipeline = "
           ":pipeline AND day_number = :day",
        soci::use(pipeline), soci::use(day), soci::into(open_bytes), soci::into(open_usd);
    return {.bytes_billed = bytes + open_bytes, .slot_millis = slots, .usd = usd_of(nano_usd + open_usd)};
}

void forget_spending(soci::session& sql, const std::string& pipeline, TimePoint at) {
    long long kept_from = day_of(at) - 1;
    for (const char* table : {"spending", "bills"})
        sql << "DELETE FROM penstock." << table
            << " WHERE pipeline = :pipeline AND day_number < :day AND run_id NOT IN (SELECT run_id FROM penstock.runs)",
            soci::use(pipeline), soci::use(kept_from);
}

RecordedSpending::RecordedSpending(Place place, flow::RunIdentity run)
    : place_(std::move(place)), run_(std::move(run)) {}
RecordedSpending::~RecordedSpending() = default;

Result<Connection*> RecordedSpending::connection() {
    if (connection_ == nullptr) {
        PN_TRY(connection_, Connection::open(place_, Connection::Create::yes));
        connection_->set_patience(Connection::long_patience);
    }
    return connection_.get();
}

Result<flow::Charge> RecordedSpending::on_day(TimePoint at) {
    flow::Charge spent;
    PN_TRY(auto* connection, this->connection());
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        spent = spent_on_day(sql, run_.pipeline, at);
        return {};
    }));
    return spent;
}

Status RecordedSpending::open(const flow::Bill& bill) {
    PN_TRY(auto* connection, this->connection());
    return connection->write_again([&](soci::session& sql) -> Status {
        long long opened = bill.opened.time_since_epoch().count(), day = day_of(bill.opened), rows = 0;
        long long bytes = bill.most.bytes_billed, nano_usd = nano(bill.most.usd);
        sql << "SELECT count(*) FROM penstock.bills WHERE pipeline = :pipeline AND job = :job",
            soci::use(run_.pipeline), soci::use(bill.job), soci::into(rows);
        if (rows != 0) return {};
        sql << "INSERT INTO penstock.bills (pipeline, job, account, run_id, opened_at, day_number, bytes_billed, "
               "nano_usd) "
               "VALUES (:pipeline, :job, :account, :run_id, :opened, :day, :bytes, :usd)",
            soci::use(run_.pipeline), soci::use(bill.job), soci::use(bill.account), soci::use(run_.run_id),
            soci::use(opened), soci::use(day), soci::use(bytes), soci::use(nano_usd);
        return {};
    });
}

/// Done twice, the second finds no bill.
Status RecordedSpending::settle(const std::string& job, const flow::Charge& charged, bool ours) {
    PN_TRY(auto* connection, this->connection());
    return connection->write_again([&](soci::session& sql) -> Status {
        flow::RunIdentity opener{.pipeline = run_.pipeline, .run_id = {}};
        long long day = 0;
        sql << "SELECT run_id, day_number FROM penstock.bills WHERE pipeline = :pipeline AND job = :job",
            soci::use(run_.pipeline), soci::use(job), soci::into(opener.run_id), soci::into(day);
        if (!sql.got_data()) return {};
        sql << "DELETE FROM penstock.bills WHERE pipeline = :pipeline AND job = :job", soci::use(run_.pipeline),
            soci::use(job);
        bool is_void = !ours && opener.run_id == run_.run_id;
        if (!is_void) add_to_run(sql, opener, day, charged);
        return {};
    });
}

Status RecordedSpending::add(const flow::Charge& charged, TimePoint at) {
    PN_TRY(auto* connection, this->connection());
    // Twice, where the answer to the commit is lost: from above.
    return connection->write_again([&](soci::session& sql) -> Status {
        add_to_run(sql, run_, day_of(at), charged);
        return {};
    });
}

Result<std::vector<flow::Bill>> RecordedSpending::open_bills() {
    std::vector<flow::Bill> bills;
    PN_TRY(auto* connection, this->connection());
    PN_CHECK(connection->read([&](soci::session& sql) -> Status {
        flow::Bill bill;
        long long bytes = 0, nano_usd = 0, opened = 0;
        soci::statement select = (sql.prepare << "SELECT job, account, opened_at, bytes_billed, nano_usd FROM "
                                                 "penstock.bills WHERE pipeline = :pipeline",
                                  soci::use(run_.pipeline), soci::into(bill.job), soci::into(bill.account),
                                  soci::into(opened), soci::into(bytes), soci::into(nano_usd));
        bills.clear();
        for (select.execute(); select.fetch(); bills.push_back(bill))
            bill.most = {.bytes_billed = bytes, .usd = usd_of(nano_usd)},
            bill.opened = TimePoint(std::chrono::microseconds(opened));
        return {};
    }));
    return bills;
}

}  // namespace penstock::state
