#include "state/notices.h"

#include "state/connection.h"
#include "state/moment.h"

namespace penstock::state {
namespace {

long long begun_of_last_success(soci::session& sql, const std::string& pipeline) {
    long long begun = 0;
    sql << "SELECT COALESCE(MAX(started_at), 0) FROM penstock.runs WHERE pipeline = :pipeline AND status = 'success'",
        soci::use(pipeline), soci::into(begun);
    return begun;
}

bool is_known(soci::session& sql, const Notice& notice, std::chrono::microseconds repeat) {
    long long same = 0, again = 0;
    sql << "SELECT count(*) FROM penstock.notices WHERE notice = :id AND connection = :connection",
        soci::use(notice.id), soci::use(notice.connection), soci::into(same);
    if (same != 0) return true;
    long long since =
        std::max<long long>(micros(notice.made_at) - repeat.count(), begun_of_last_success(sql, notice.pipeline));
    sql << "SELECT count(*) FROM penstock.notices WHERE pipeline = :pipeline AND connection = :connection AND event = "
           ":event AND subject = :subject AND made_at > :since",
        soci::use(notice.pipeline), soci::use(notice.connection), soci::use(notice.event), soci::use(notice.subject),
        soci::use(since), soci::into(again);
    return again != 0;
}

/// Each with the attempt that is about to be made.
std::vector<Notice> select_due(soci::session& sql, TimePoint now, int most, const std::string& but) {
    std::vector<Notice> due;
    Notice one;
    long long made = 0, attempts = 0, at = micros(now);
    soci::statement select =
        (sql.prepare << "SELECT notice, connection, pipeline, event, subject, payload, made_at, attempts FROM "
                        "penstock.notices WHERE status = 'waiting' AND not_before <= :now AND connection <> :but ORDER "
                        "BY made_at, "
                        "notice LIMIT :most",
         soci::into(one.id), soci::into(one.connection), soci::into(one.pipeline), soci::into(one.event),
         soci::into(one.subject), soci::into(one.payload), soci::into(made), soci::into(attempts), soci::use(at),
         soci::use(but), soci::use(most));
    for (select.execute(); select.fetch(); due.push_back(one))
        one.made_at = from_micros(made), one.attempts = static_cast<int>(attempts) + 1;
    return due;
}

}  // namespace

Notices::Notices(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Notices::~Notices() = default;
Notices::Notices(Notices&&) noexcept = default;

Result<Notices> Notices::open(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::yes));
    return Notices(std::move(connection));
}

Result<bool> Notices::add(const Notice& notice, std::chrono::microseconds repeat) {
    bool added = false;
    // Done twice where the answer to the commit is lost, the second finds it.
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        if (is_known(sql, notice, repeat)) return {};
        long long made = micros(notice.made_at);
        sql << "INSERT INTO penstock.notices (notice, connection, pipeline, event, subject, payload, status, attempts, "
               "made_at, not_before, ended_at, remark) VALUES (:id, :connection, :pipeline, :event, :subject, "
               ":payload, "
               "'waiting', 0, :made, :due, 0, '')",
            soci::use(notice.id), soci::use(notice.connection), soci::use(notice.pipeline), soci::use(notice.event),
            soci::use(notice.subject), soci::use(notice.payload), soci::use(made), soci::use(made);
        added = true;
        return {};
    }));
    return added;
}

Result<std::vector<Notice>> Notices::take(TimePoint now, int most, const std::string& but) {
    std::vector<Notice> taken;
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        long long until = micros(now + claim_time);
        taken = select_due(sql, now, most, but);
        for (const auto& each : taken) {
            long long attempts = each.attempts;
            sql << "UPDATE penstock.notices SET attempts = :attempts, not_before = :until WHERE notice = :id AND "
                   "connection = :connection",
                soci::use(attempts), soci::use(until), soci::use(each.id), soci::use(each.connection);
        }
        return {};
    }));
    return taken;
}

Status Notices::end(const Notice& notice, const char* status, TimePoint at, const std::string& why) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        std::string now_is = status;
        long long ended = micros(at);
        sql << "UPDATE penstock.notices SET status = :status, ended_at = :at, remark = :why, payload = '' WHERE notice "
               "= "
               ":id AND connection = :connection",
            soci::use(now_is), soci::use(ended), soci::use(why), soci::use(notice.id), soci::use(notice.connection);
        return {};
    });
}

Status Notices::delivered(const Notice& notice, TimePoint at) { return end(notice, "delivered", at, ""); }

Status Notices::given_up(const Notice& notice, TimePoint at, const std::string& why) {
    return end(notice, "given_up", at, why);
}

Status Notices::again(const Notice& notice, TimePoint not_before, const std::string& why) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long due = micros(not_before);
        sql << "UPDATE penstock.notices SET not_before = :due, remark = :why WHERE notice = :id AND connection = "
               ":connection AND status = 'waiting'",
            soci::use(due), soci::use(why), soci::use(notice.id), soci::use(notice.connection);
        return {};
    });
}

Status Notices::forget(TimePoint before) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long at = micros(before);
        sql << "DELETE FROM penstock.notices WHERE (status <> 'waiting' AND ended_at < :before) OR made_at < :made",
            soci::use(at), soci::use(at);
        return {};
    });
}

}  // namespace penstock::state
