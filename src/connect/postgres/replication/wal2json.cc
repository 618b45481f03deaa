#include "connect/postgres/replication/wal2json.h"

#include <fmt/format.h>

#include "connect/postgres/replication/wal2json_reader.h"

namespace penstock::postgres {

/// One message, and what of an open transaction outlives its message.
class Wal2jsonDecoder::State {
  public:
    explicit State(Wal2jsonFormat format) : format_(format) {}

    void feed(std::string_view message) {
        reader_.start(message);
        untouched_ = true;
        used_up_ = false;
    }
    Result<bool> next(Wal2jsonChange& change);

  private:
    void next_of_transaction(Wal2jsonChange& change);
    void begin(Wal2jsonChange& change);
    void end(Wal2jsonChange& change);

    Wal2jsonFormat format_;
    Wal2jsonReader reader_;
    bool untouched_ = false;  ///< nothing of the message was read
    bool used_up_ = true;

    bool open_ = false;    ///< between 'B' and 'C' of format 1
    bool first_ = false;   ///< no change of it was read yet
    Wal2jsonChange head_;  ///< what it says about all its changes
    std::optional<Wal2jsonChange> pending_;
};

Result<bool> Wal2jsonDecoder::State::next(Wal2jsonChange& change) {
    if (pending_) {
        change = *pending_;
        pending_.reset();
        return true;
    }
    if (used_up_) return false;
    reader_.forget();
    change = {};
    if (format_ == Wal2jsonFormat::changes) {
        reader_.read_change(change);
        if (!reader_.from.done()) reader_.wrong("something follows its end");
        used_up_ = true;
    } else {
        next_of_transaction(change);
    }
    if (reader_.from.ok()) return change.action != 0;
    used_up_ = true;
    pending_.reset();
    return fail({.kind = ErrorKind::data,
                 .code = "replication_protocol",
                 .message = fmt::format("a message of wal2json cannot be understood: {} (at byte {})",
                                        reader_.why().empty() ? "it is not what wal2json writes" : reader_.why(),
                                        reader_.from.offset()),
                 .hint = "is the slot's output plugin wal2json, and its format-version the one asked for?"});
}

void Wal2jsonDecoder::State::next_of_transaction(Wal2jsonChange& change) {
    if (!open_) return begin(change);
    if (format_ == Wal2jsonFormat::chunks && reader_.from.done()) {
        if (untouched_) reader_.wrong("it is empty");
        used_up_ = true;
        return;
    }
    untouched_ = false;
    if (reader_.from.take(']')) return end(change);
    if (!first_) reader_.from.expect(',');
    first_ = false;
    change = head_;
    reader_.read_change_of_transaction(change);
}

void Wal2jsonDecoder::State::begin(Wal2jsonChange& change) {
    untouched_ = false;
    head_ = {};
    std::string_view key;
    reader_.from.expect('{');
    do {
        key = reader_.from.string();
        reader_.from.expect(':');
        if (key == "change") break;
        if (!reader_.read_common(key, head_)) reader_.from.value();
    } while (reader_.from.take(','));
    if (key != "change") return reader_.wrong("a transaction has no list of changes");
    // Nothing that points into this message: the transaction may go on in others.
    head_ = {.xid = head_.xid, .lsn = head_.lsn, .next_lsn = head_.next_lsn, .committed_at = head_.committed_at};
    reader_.from.expect('[');
    open_ = first_ = true;
    change = head_;
    change.action = 'B';
    if (reader_.from.peek() != '{') return;

    // Only the first change tells whether this is a transaction, or a message that stands outside of any.
    auto read = head_;
    first_ = false;
    reader_.read_change_of_transaction(read);
    if (read.action != 'M' || read.transactional) {
        pending_ = read;
        return;
    }
    reader_.from.expect(']');
    end(change);
    change = read;
}

void Wal2jsonDecoder::State::end(Wal2jsonChange& change) {
    reader_.from.expect('}');
    if (!reader_.from.done()) reader_.wrong("something follows its end");
    open_ = false;
    used_up_ = true;
    change = head_;
    change.action = 'C';
}

Wal2jsonDecoder::Wal2jsonDecoder(Wal2jsonFormat format) : state_(std::make_unique<State>(format)) {}
Wal2jsonDecoder::~Wal2jsonDecoder() = default;
Wal2jsonDecoder::Wal2jsonDecoder(Wal2jsonDecoder&&) noexcept = default;
Wal2jsonDecoder& Wal2jsonDecoder::operator=(Wal2jsonDecoder&&) noexcept = default;

void Wal2jsonDecoder::feed(std::string_view message) { state_->feed(message); }

Result<bool> Wal2jsonDecoder::next(Wal2jsonChange& change) { return state_->next(change); }

}  // namespace penstock::postgres
