#include "connect/parquet/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ids.h"
#include "io/object_store.h"

namespace penstock::parquet {
namespace {

using flow::Finding;

Finding problem(const char* what, const Error& error) {
    return {.severity = Finding::Severity::problem, .what = what, .detail = error.message, .fix = error.hint};
}

Status write_and_read(io::ObjectStore& store, const std::string& name) {
    constexpr std::string_view content = "written by `penstock doctor`; may be removed\n";
    PN_CHECK(store.put(name, content));
    PN_TRY(auto read, store.get(name));
    PN_TRY(auto listed, store.list("_penstock/doctor/"));
    bool found = std::ranges::find(listed, name, &io::ObjectInfo::name) != listed.end();
    if (read == content && found) return {};
    return fail({.kind = ErrorKind::refused,
                 .code = "store_inconsistent",
                 .message = fmt::format("{} was written, and {}", store.url(name),
                                        found ? "reads differently" : "is not listed"),
                 .hint = "an archive needs a store that shows what was written, as Amazon's and Google's do"});
}

}  // namespace

Result<std::shared_ptr<io::ObjectStore>> open_store(const ConnectionOptions& options) {
    io::ObjectStoreSettings settings{.url = options.url.value};
    if (options.in_bucket()) {
        settings.endpoint = options.endpoint.value;
        settings.region = options.region;
        settings.key_file = options.credentials.value;
        settings.access_key = options.access_key;
        settings.secret_key = options.secret_key;
        settings.session_token = options.session_token;
        settings.give_up = std::chrono::duration_cast<std::chrono::milliseconds>(options.retry_for);
    } else {
        PN_TRY(auto root, root_of(options));
        settings.url = "file://" + root.string();
    }
    return io::ObjectStore::open(settings);
}

std::vector<Finding> examine_bucket(const ConnectionOptions& options) {
    auto store = open_store(options);
    if (!store) return {problem("bucket", store.error())};
    auto name = fmt::format("_penstock/doctor/{}", new_run_id());
    auto used = write_and_read(**store, name);
    auto removed = (*store)->remove(name);
    if (!used) return {problem("bucket", used.error())};
    if (!removed) return {problem("bucket", removed.error())};
    return {{.what = "bucket",
             .detail = fmt::format("objects below {} can be written, read, listed and removed", (*store)->url("")),
             .fix = ""}};
}

}  // namespace penstock::parquet
