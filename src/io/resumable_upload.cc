#include "io/resumable_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "io/google_error.h"
#include "io/url.h"

namespace penstock::io {
namespace {

constexpr int resume_incomplete = 308;

class Session {
  public:
    Session(const Upload& what, const RetrySettings& retries, const std::stop_token& stop, const Send& send)
        : what_(what), retries_(retries), stop_(stop), send_(send) {}

    Result<Response> run() {
        for (int sessions = 1;; ++sessions) {
            PN_TRY(auto begun, begin());
            if (!begun.good()) return begun;
            PN_TRY(auto answer, send_all());
            if (!lost(answer) || sessions == 3) return answer;
            sent_ = 0;
        }
    }

  private:
    static bool lost(const Response& answer) { return answer.status == 404 || answer.status == 410; }

    Result<Response> begin() {
        Request request{
            .method = "POST",
            .url = what_.url,
            .headers = {"Content-Type: application/json; charset=UTF-8", "X-Upload-Content-Type: " + what_.content_type,
                        fmt::format("X-Upload-Content-Length: {}", what_.file.size)},
            .body = what_.metadata};
        PN_TRY(auto answer, repeatedly([&] { return send_(request); }));
        if (!answer.good()) return answer;
        std::string location = answer.header("location");
        if (location.empty())
            return fail({.kind = ErrorKind::unavailable,
                         .code = "no_upload_session",
                         .message = "an upload was begun, but the server named no address for it"});
        PN_TRY(auto origin, origin_of(what_.url));
        address_ = origin.text + path_of(location);
        return answer;
    }

    /// From `sent_` on to the end.
    Result<Response> send_all() {
        for (;;) {
            bool moved = false;
            PN_TRY(auto answer, repeatedly([&] {
                       // What became of a chunk whose answer did not come must be asked before the next.
                       auto answer = unsure_ ? send_(status_request()) : send_(chunk_request());
                       unsure_ = !answer || is_passing(answer->status, "");
                       if (answer && answer->status == resume_incomplete) moved = take(*answer);
                       return answer;
                   }));
            if (answer.status != resume_incomplete) return answer;
            if (moved) stuck_ = 0;
            else if (++stuck_ > 10)
                return fail(
                    {.kind = ErrorKind::unavailable,
                     .code = "upload_stuck",
                     .message = fmt::format("an upload stands still after {} of {} bytes", sent_, what_.file.size)});
        }
    }

    /// The server says how much it has; whether that is more than before.
    bool take(const Response& answer) {
        uint64_t has = 0;
        std::string range = answer.header("range");
        if (auto dash = range.rfind('-'); dash != range.npos) {
            uint64_t last = 0;
            auto read = std::from_chars(range.data() + dash + 1, range.data() + range.size(), last);
            if (read.ec == std::errc()) has = last + 1;
        }
        has = std::min(has, what_.file.size);
        bool more = has > sent_;
        sent_ = has;
        return more;
    }

    Request chunk_request() const {
        uint64_t size = std::min(what_.chunk_bytes, what_.file.size - sent_);
        std::string range = size == 0 ? fmt::format("bytes */{}", what_.file.size)
                                      : fmt::format("bytes {}-{}/{}", sent_, sent_ + size - 1, what_.file.size);
        return {.method = "PUT",
                .url = address_,
                .headers = {"Content-Type: " + what_.content_type, "Content-Range: " + range},
                .file = FileBody{.file = what_.file.file, .offset = what_.file.offset + sent_, .size = size},
                .timeout = std::chrono::minutes(2)};
    }

    Request status_request() const {
        return {.method = "PUT",
                .url = address_,
                .headers = {fmt::format("Content-Range: bytes */{}", what_.file.size)},
                .body = ""};
    }

    template <class Once>
    Result<Response> repeatedly(Once once) {
        return with_retries(retries_, stop_, [&](int) {
            auto answer = once();
            bool again = answer ? !answer->good() && is_passing(answer->status, google_error(*answer).reason)
                                : answer.error().kind == ErrorKind::unavailable;
            auto asked = answer ? retry_after(*answer) : std::chrono::milliseconds();
            return Attempted{.response = std::move(answer), .again = again, .asked = asked};
        });
    }

    const Upload& what_;
    const RetrySettings& retries_;
    const std::stop_token& stop_;
    const Send& send_;
    std::string address_;
    uint64_t sent_ = 0;
    bool unsure_ = false;
    int stuck_ = 0;
};

}  // namespace

Result<Response> upload(const Upload& what, const RetrySettings& retries, const std::stop_token& stop,
                        const Send& send) {
    return Session(what, retries, stop, send).run();
}

}  // namespace penstock::io
