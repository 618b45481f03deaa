#include "io/object_store.h"

#include <fmt/format.h>

#include "io/bucket_store.h"
#include "io/folder_store.h"

namespace penstock::io {

Error no_such_object(const std::string& url) {
    return {.kind = ErrorKind::refused,
            .code = "no_such_object",
            .message = fmt::format("there is no object {}", url),
            .hint = "somebody removed it; restore it, or leave it out"};
}

Result<std::shared_ptr<ObjectStore>> ObjectStore::open(const ObjectStoreSettings& settings) {
    constexpr std::string_view folder = "file://";
    if (settings.url.starts_with(folder)) return folder_store(settings.url.substr(folder.size()));
    return bucket_store(settings);
}

Status ObjectStore::put(const std::string& name, std::string_view content) {
    PN_TRY(auto writer, write(name));
    PN_CHECK(writer->write(content));
    PN_CHECK(writer->close());
    return {};
}

Result<bool> ObjectStore::put_new(const std::string& name, std::string_view content) {
    PN_TRY(auto writer, write_new(name));
    PN_CHECK(writer->write(content));
    return writer->close();
}

Result<std::string> ObjectStore::get(const std::string& name, uint64_t most_bytes) {
    PN_TRY(auto found, info(name));
    if (!found) return fail(no_such_object(url(name)));
    if (found->size > most_bytes)
        return fail({.kind = ErrorKind::data,
                     .code = "object_too_large",
                     .message = fmt::format("{} has {} bytes, and {} at most are taken into memory", url(name),
                                            found->size, most_bytes),
                     .hint = "look at what it is: nothing that Penstock writes there is as large"});
    PN_TRY(auto reader, read(name));
    return reader->read(found->size);
}

}  // namespace penstock::io
