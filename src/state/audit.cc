#include "state/audit.h"

#include "state/connection.h"
#include "state/moment.h"

namespace penstock::state {

Audit::Audit(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Audit::~Audit() = default;
Audit::Audit(Audit&&) noexcept = default;

Result<Audit> Audit::open(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::yes));
    return Audit(std::move(connection));
}

Status Audit::begin(const Deed& deed) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long there = 0, at = micros(deed.at), status = deed.status;
        sql << "SELECT count(*) FROM penstock.audit WHERE deed = :id", soci::use(deed.id), soci::into(there);
        if (there != 0) return {};
        sql << "INSERT INTO penstock.audit (deed, done_at, actor, actor_role, action_name, subject, detail, answer) "
               "VALUES "
               "(:id, :at, :actor, :role, :action, :subject, :detail, :status)",
            soci::use(deed.id), soci::use(at), soci::use(deed.actor), soci::use(deed.role), soci::use(deed.action),
            soci::use(deed.subject), soci::use(deed.detail), soci::use(status);
        return {};
    });
}

Status Audit::end(const std::string& id, int status) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long answer = status;
        sql << "UPDATE penstock.audit SET answer = :status WHERE deed = :id", soci::use(answer), soci::use(id);
        return {};
    });
}

Result<std::vector<Deed>> Audit::newest(int most, const std::string& before) {
    std::vector<Deed> deeds;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        Deed one;
        long long at = 0, status = 0;
        soci::statement select =
            (sql.prepare << "SELECT deed, done_at, actor, actor_role, action_name, subject, detail, answer FROM "
                            "penstock.audit WHERE :none = '' OR deed < :before ORDER BY deed DESC LIMIT :most",
             soci::into(one.id), soci::into(at), soci::into(one.actor), soci::into(one.role), soci::into(one.action),
             soci::into(one.subject), soci::into(one.detail), soci::into(status), soci::use(before), soci::use(before),
             soci::use(most));
        deeds.clear();
        for (select.execute(); select.fetch(); deeds.push_back(one))
            one.at = from_micros(at), one.status = static_cast<int>(status);
        return {};
    }));
    return deeds;
}

}  // namespace penstock::state
