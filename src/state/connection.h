#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/error.h"
#include "state/dialect.h"
#include "state/place.h"
#include "state/soci.h"

namespace penstock::state {

/// A state database of the current schema: a SQLite file, or a server's. Belongs to one thread; other processes may have it open
/// as well. Statements name our tables `penstock.runs` and so on, whatever the database (dialect.h).
///
/// A server may restart or be away for a while. Work that it took back, or that was cut off before its commit was sent, is done
/// again for as long as this connection's patience lasts.
class Connection {
  public:
    enum class Create { yes, no };
    static constexpr std::chrono::seconds short_patience{5};
    /// For what must not fail because a server is restarted.
    static constexpr std::chrono::seconds long_patience{100};
    using Work = std::function<Status(soci::session&)>;
    /// Whether a transaction has happened whose commit got no answer.
    using Landed = std::function<Result<bool>(soci::session&)>;

    /// Creates folder, file or tables if wanted, brings an older schema up to date, refuses a newer one. Nothing when there is no
    /// state and none is to be made.
    static Result<std::unique_ptr<Connection>> open(const Place& place, Create create,
                                                    std::chrono::seconds patience = short_patience);
    /// A database whose tables are somebody else's: read() only, none of ours are looked for or made.
    static Result<std::unique_ptr<Connection>> open_foreign(const Place& place);
    ~Connection();

    /// Runs the work in one transaction beside which no other one runs, so that what it reads stays true. An error or exception
    /// rolls back. The work may be done several times, so it begins by forgetting what it did before. Where the answer to
    /// the commit was lost, `landed` is asked afterwards, and the work is done again only if it has not happened.
    Status write(const Work& work, const Landed& landed);
    /// The same for work that may be done twice as well as once.
    Status write_again(const Work& work);
    /// Runs the work outside a transaction.
    Status read(const Work& work);

    /// How long a server that does not answer is waited for.
    void set_patience(std::chrono::seconds patience) { patience_ = patience; }

    /// What a commit wrote must outlive a power cut, from now on.
    Status make_durable();
    /// "MariaDB 10.11.19"
    Result<std::string> version();
    const Place& place() const { return place_; }

  private:
    class Trial;
    explicit Connection(Place place);
    Status connect();
    Status prepare_file(Create create);
    Result<bool> is_there();
    Status migrate();
    Status make_schema(soci::session& sql);
    Status attempt(const Work& work);
    Status commit_attempt(const Work& work, const Landed& landed, bool& unanswered);
    void roll_back();
    Error error_of(const std::exception& error);

    Place place_;
    const Dialect& dialect_;
    soci::session session_;
    bool connected_ = false;
    bool durable_ = false;
    Fault fault_ = Fault::none;  ///< of the last failure
    std::chrono::seconds patience_ = short_patience;
};

}  // namespace penstock::state
