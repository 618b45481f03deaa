#include "app/drill/wal_feed.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "backup/wal_fetch.h"
#include "io/file_error.h"

namespace penstock::app {
namespace {

namespace fs = std::filesystem;

/// Of restore_command: there is no such file, and the log ends; something failed, which must not look like that.
constexpr int log_ends = 1, fetch_failed = 255;

bool is_name_of_log(const std::string& file) {
    return !file.empty() && file.size() < 64 &&
           std::ranges::all_of(file, [](unsigned char c) { return std::isalnum(c) != 0 || c == '.'; });
}

}  // namespace

Result<std::unique_ptr<WalFeed>> WalFeed::begin(const backup::Catalog& catalog, const fs::path& folder,
                                                const fs::path& data, const ServerAccount& account) {
    std::unique_ptr<WalFeed> feed(new WalFeed(catalog, folder, data, account));
    std::error_code failed;
    fs::remove_all(feed->private_, failed);
    if (::mkdir(feed->private_.c_str(), 0700) != 0) return fail(io::file_error("make", feed->private_, errno));
    PN_TRY(feed->asked_, feed->make_pipe("ask"));
    PN_TRY(feed->answered_, feed->make_pipe("answer"));
    feed->answering_ = std::jthread([made = feed.get()](std::stop_token stop) { made->keep_answering(stop); });
    return feed;
}

/// Open for both directions: then no end of it depends on whether a command runs just now.
Result<int> WalFeed::make_pipe(const char* name) const {
    auto path = folder_ / name;
    bool made = ::mkfifo(path.c_str(), 0600) == 0 &&
                (!account_.other || ::chown(path.c_str(), account_.user, account_.group) == 0);
    int pipe = made ? ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
    if (pipe < 0) return fail(io::file_error("make", path, errno));
    return pipe;
}

WalFeed::~WalFeed() {
    answering_.request_stop();
    if (answering_.joinable()) answering_.join();
    for (int pipe : {asked_, answered_})
        if (pipe >= 0) ::close(pipe);
    std::error_code failed;
    fs::remove_all(private_, failed);
}

std::string WalFeed::command() const {
    return fmt::format("{{ echo %f > '{}' && read answer < '{}'; }} || exit {}; exit \"${{answer:-{}}}\"",
                       (folder_ / "ask").string(), (folder_ / "answer").string(), fetch_failed, fetch_failed);
}

std::optional<Error> WalFeed::failure() const {
    std::lock_guard lock(mutex_);
    return failure_;
}

void WalFeed::keep_answering(const std::stop_token& stop) {
    std::string line;
    while (!stop.stop_requested()) {
        pollfd wait{.fd = asked_, .events = POLLIN, .revents = 0};
        if (::poll(&wait, 1, 100) <= 0) continue;
        char letter = 0;
        while (::read(asked_, &letter, 1) == 1) {
            if (letter != '\n') {
                line += letter;
                continue;
            }
            auto code = fmt::format("{}\n", answer(std::exchange(line, "")));
            // A pipe takes so few bytes at once, or it is full of answers that nobody asked for.
            if (::write(answered_, code.data(), code.size()) < 0) return;
        }
    }
}

/// As PostgreSQL wants it: below pg_wal, under the one name that it asks with (RestoreArchivedFile in xlogarchive.c).
int WalFeed::answer(const std::string& file) {
    auto into = data_ / "pg_wal" / (file.ends_with(".history") ? "RECOVERYHISTORY" : "RECOVERYXLOG");
    auto made = private_ / "file";
    auto fetched = is_name_of_log(file) ? backup::fetch_wal(catalog_, file, made) : Result<bool>(false);
    if (fetched && *fetched && account_.other && ::chown(made.c_str(), account_.user, account_.group) != 0)
        fetched = fail(io::file_error("give away", made, errno));
    // In its place at once, whatever the server's account has put there, such as a link.
    if (fetched && *fetched && ::rename(made.c_str(), into.c_str()) != 0)
        fetched = fail(io::file_error("rename into place", into, errno));
    if (fetched) return *fetched ? 0 : log_ends;
    std::lock_guard lock(mutex_);
    failure_ = fetched.error();
    return fetch_failed;
}

}  // namespace penstock::app
