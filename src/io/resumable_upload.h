#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "io/http.h"
#include "io/retry.h"

namespace penstock::io {

/// A file on its way to a Google API in one resumable session ("Resumable media uploads").
struct Upload {
    std::string url;       ///< that begins a session, with uploadType=resumable
    std::string metadata;  ///< JSON that goes ahead of the bytes
    std::string content_type = "application/octet-stream";
    FileBody file;
    uint64_t chunk_bytes = uint64_t{32} << 20;  ///< a multiple of 256 KiB
};

/// Sends one request with what says who asks; tries nothing again.
using Send = std::function<Result<Response>(Request)>;

/// The answer to the last byte, or to a session that was not begun: a status of 409 comes back like one of 200. What was cut
/// off goes on from where the server has got; a session that the server has forgotten is begun anew. The bytes go to the host
/// of `url`, whatever address the session is given.
Result<Response> upload(const Upload& what, const RetrySettings& retries, const std::stop_token& stop,
                        const Send& send);

}  // namespace penstock::io
