#include "state/messages.h"

#include <algorithm>
#include <utility>

#include "flow/reject.h"
#include "state/connection.h"
#include "state/ledger_rows.h"
#include "state/lock.h"
#include "state/moment.h"

namespace penstock::state {
namespace {

/// As a row lies in the database.
struct Row {
    Message message;
    std::string status;
    LockHolder holder;

    bool somebody_works_on_it() const { return message.status == MessageStatus::running && holder.is_alive(); }
    bool is_of_this_process() const { return holder.process == this_process(); }
};

MessageStatus status_of(const std::string& text) {
    for (auto status : {MessageStatus::accepted, MessageStatus::running, MessageStatus::again, MessageStatus::done})
        if (text == to_string(status)) return status;
    return MessageStatus::rejected;
}

std::vector<Row> select(soci::session& sql, const std::string& where, const std::string& one, const std::string& two) {
    Row row;
    Message& message = row.message;
    int redelivered = 0;
    long long pid = 0, started = 0, lease = 0, received = 0;
    soci::statement select =
        (sql.prepare
             << "SELECT pipeline, message_id, invocation, redelivered, digest, body, status, ended, code, answer, "
                "attempts, received_at, pid, pid_started, host, machine, lease_until FROM penstock.messages WHERE "
             << where << " ORDER BY received_at",
         soci::into(message.pipeline), soci::into(message.id), soci::into(message.invocation), soci::into(redelivered),
         soci::into(message.digest), soci::into(message.body), soci::into(row.status), soci::into(message.ended),
         soci::into(message.code), soci::into(message.answer), soci::into(message.attempts), soci::into(received),
         soci::into(pid), soci::into(started), soci::into(row.holder.process.host),
         soci::into(row.holder.process.machine), soci::into(lease), soci::use(one), soci::use(two));
    std::vector<Row> found;
    for (select.execute(); select.fetch(); found.push_back(row)) {
        message.is_redelivered = redelivered != 0;
        message.status = status_of(row.status);
        message.received_at = TimePoint(std::chrono::microseconds(received));
        row.holder.process.pid = pid, row.holder.process.started = started;
        row.holder.lease_until = TimePoint(std::chrono::microseconds(lease));
    }
    return found;
}

std::optional<Row> select_one(soci::session& sql, const Message& message) {
    auto found = select(sql, "pipeline = :pipeline AND message_id = :id", message.pipeline, message.id);
    return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

void remove(soci::session& sql, const Message& message) {
    sql << "DELETE FROM penstock.messages WHERE pipeline = :pipeline AND message_id = :id", soci::use(message.pipeline),
        soci::use(message.id);
}

void put(soci::session& sql, const Message& message) {
    remove(sql, message);
    auto process = this_process();
    std::string status(to_string(message.status));
    int redelivered = message.is_redelivered ? 1 : 0;
    bool settled = message.status == MessageStatus::done || message.status == MessageStatus::rejected;
    long long pid = process.pid, started = process.started, received = micros(message.received_at);
    long long lease = micros(lease_clock() + lease_time), ended_at = settled ? micros(lease_clock()) : 0;
    sql << "INSERT INTO penstock.messages (pipeline, message_id, invocation, redelivered, digest, body, status, ended, "
           "code, answer, attempts, received_at, ended_at, pid, pid_started, host, machine, lease_until) VALUES "
           "(:pipeline, :id, :invocation, :redelivered, :digest, :body, :status, :ended, :code, :answer, :attempts, "
           ":received, :ended_at, :pid, :started, :host, :machine, :lease)",
        soci::use(message.pipeline), soci::use(message.id), soci::use(message.invocation), soci::use(redelivered),
        soci::use(message.digest), soci::use(message.body), soci::use(status), soci::use(message.ended),
        soci::use(message.code), soci::use(message.answer), soci::use(message.attempts), soci::use(received),
        soci::use(ended_at), soci::use(pid), soci::use(started), soci::use(process.host), soci::use(process.machine),
        soci::use(lease);
}

/// A record that this process may write, because it still has it.
Status put_ours(soci::session& sql, const Message& message) {
    auto found = select_one(sql, message);
    if (found && found->message.invocation == message.invocation && !found->is_of_this_process() &&
        found->message.status == MessageStatus::running && found->holder.is_alive())
        return fail({.kind = ErrorKind::conflict,
                     .code = "message_lost",
                     .message = "another process works on message " + message.id + " of " + message.pipeline,
                     .hint = "what was committed stays; that process answers for the message"});
    put(sql, message);
    return {};
}

}  // namespace

std::string_view to_string(MessageStatus status) {
    switch (status) {
        case MessageStatus::accepted: return "accepted";
        case MessageStatus::running: return "running";
        case MessageStatus::again: return "again";
        case MessageStatus::done: return "done";
        case MessageStatus::rejected: return "rejected";
    }
    std::unreachable();
}

Messages::Messages(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Messages::~Messages() = default;
Messages::Messages(Messages&&) noexcept = default;

Result<Messages> Messages::open(const std::string& url, const std::filesystem::path& directory) {
    PN_TRY(auto place, place_of(url, directory));
    PN_TRY(auto connection, Connection::open(place, Connection::Create::yes));
    // An answer of 202 is a promise.
    PN_CHECK(connection->make_durable());
    return Messages(std::move(connection));
}

Result<Messages::Claimed> Messages::claim(Message message) {
    Claimed claimed{Claim::ours, {}};
    PN_CHECK(connection_->write_again([&](soci::session& sql) -> Status {
        claimed = {Claim::ours, message};
        auto found = select_one(sql, message);
        if (found) {
            if (found->message.digest != message.digest) {
                claimed.claim = Claim::other_body;
                return {};
            }
            claimed.message = found->message;
            auto status = found->message.status;
            bool settled = status == MessageStatus::done || status == MessageStatus::rejected;
            if (settled) claimed.claim = Claim::settled;
            // The caller knows what this process works on: what is on record as ours, and is not, was left by a failure.
            else if (found->somebody_works_on_it() && !found->is_of_this_process()) claimed.claim = Claim::busy;
            if (claimed.claim != Claim::ours) return {};
        }
        claimed.message.status = MessageStatus::running;
        ++claimed.message.attempts;
        put(sql, claimed.message);
        return {};
    }));
    return claimed;
}

Status Messages::progress(const Message& message) {
    return connection_->write_again([&](soci::session& sql) { return put_ours(sql, message); });
}

Status Messages::end(const Message& message) {
    connection_->set_patience(Connection::long_patience);
    auto ended = connection_->write_again([&](soci::session& sql) { return put_ours(sql, message); });
    connection_->set_patience(Connection::short_patience);
    return ended;
}

Status Messages::reject(const Message& message, const std::string& code, const std::string& reason,
                        const std::string& payload) {
    flow::RejectLog log({.stop = false});
    PN_CHECK(log.add({.table = "(message)",
                      .source_position = message.id,
                      .key = "",
                      .column = "",
                      .code = code,
                      .reason = reason,
                      .payload = payload,
                      .received_at = message.received_at}));
    return connection_->write_again([&](soci::session& sql) -> Status {
        if (auto found = select_one(sql, message); found && found->message.status == MessageStatus::rejected) return {};
        PN_CHECK(
            put_rejects(sql, {.pipeline = message.pipeline, .run_id = message.invocation}, log, trigger_connection));
        Message kept = message;
        kept.body.clear();  // the payload of the reject, which need not be text
        put(sql, kept);
        return {};
    });
}

Result<std::optional<Message>> Messages::find(const std::string& invocation) {
    std::optional<Message> message;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        auto found = select(sql, "invocation = :invocation AND :any = ''", invocation, "");
        message = found.empty() ? std::nullopt : std::optional(found.front().message);
        return {};
    }));
    return message;
}

Status Messages::renew(std::span<const std::string> invocations) {
    if (invocations.empty()) return {};
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long until = micros(lease_clock() + lease_time);
        for (const auto& invocation : invocations)
            sql << "UPDATE penstock.messages SET lease_until = :until WHERE invocation = :invocation", soci::use(until),
                soci::use(invocation);
        return {};
    });
}

Result<std::vector<Message>> Messages::orphans(std::span<const std::string> pipelines) {
    std::vector<Message> orphans;
    PN_CHECK(connection_->read([&](soci::session& sql) -> Status {
        orphans.clear();
        for (const auto& row : select(sql, "redelivered = 0 AND status IN (:one, :two)", "accepted", "running"))
            if (!row.holder.is_alive() && std::ranges::find(pipelines, row.message.pipeline) != pipelines.end())
                orphans.push_back(row.message);
        return {};
    }));
    return orphans;
}

Status Messages::forget(TimePoint before) {
    return connection_->write_again([&](soci::session& sql) -> Status {
        long long time = micros(before);
        sql << "DELETE FROM penstock.messages WHERE ended_at > 0 AND ended_at < :time", soci::use(time);
        return {};
    });
}

Status Messages::ping() {
    return connection_->read([](soci::session& sql) -> Status {
        int one = 0;
        sql << "SELECT 1", soci::into(one);
        return {};
    });
}

}  // namespace penstock::state
