#include "io/file_error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace penstock::io {

Error file_error(std::string_view what, const std::filesystem::path& path, int number) {
    Error error{.kind = ErrorKind::refused,
                .code = "storage_failed",
                .message = fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(number))};
    switch (number) {
        case ENOSPC:
        case EDQUOT:
            error.kind = ErrorKind::capacity;
            error.code = "disk_full";
            error.hint = "free space there, then run again: nothing of this run has been published";
            break;
        case EACCES:
        case EPERM:
        case EROFS:
            error.code = "no_permission";
            error.hint = "give this user the right to write the folder, or choose another `url:` for the connection";
            break;
        case ENOENT:
            error.code = "path_vanished";
            error.hint = "somebody removed it while the run went on: leave `_penstock/` alone, then run again";
            break;
        case EXDEV:
            error.code = "other_file_system";
            error.hint =
                "`_penstock/` and the data must be on one file system: mount it at the connection's folder, not below";
            break;
        case ENOTDIR:
        case EEXIST:
        case EISDIR:
            error.code = "path_in_the_way";
            error.hint = "a file stands where a folder is needed, or the other way round: move it away";
            break;
        case ENAMETOOLONG:
            error.code = "name_too_long";
            error.hint = "choose a shorter `path:` in the target";
            break;
        case EIO:
        case ESTALE:
        case ETIMEDOUT:
        case EHOSTDOWN:
            error.kind = ErrorKind::unavailable;
            error.code = "storage_unavailable";
            error.hint = "check the disk or the network mount";
            break;
        default: error.hint = "check the folder of the connection";
    }
    return error;
}

}  // namespace penstock::io
