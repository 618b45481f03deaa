#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"

namespace penstock::io {

/// The Error of reading what is not there.
Error no_such_object(const std::string& url);

/// Where objects are and who asks for them. What is left out comes from where the system's own tools take it: for gs:
/// Application Default Credentials (nobody's at an http:// endpoint, which is an emulator's), for s3: AWS_ACCESS_KEY_ID and
/// its like, ~/.aws, the machine's role.
struct ObjectStoreSettings {
    std::string url;  ///< file:///an/absolute/folder, gs://bucket/prefix, s3://bucket/prefix; never with a password
    std::string endpoint;            ///< "http://127.0.0.1:9000" instead of the system's own; "" for that
    std::string region;              ///< of s3:
    std::filesystem::path key_file;  ///< of gs:, a service account's key
    Secret access_key;               ///< of s3:, with secret_key
    Secret secret_key;
    Secret session_token;
    std::chrono::milliseconds give_up = std::chrono::minutes(2);  ///< no new attempt of one request after this
};

struct ObjectInfo {
    std::string name;  ///< below the store's URL, parts divided by slashes
    uint64_t size = 0;
    TimePoint modified{};  ///< when its bytes were written, by the store's clock; the epoch where that is not told
};

/// An object being written, in parts where it is large. Nothing is visible before close(); destroyed without it, nothing
/// ever is. One thread.
class ObjectWriter {
  public:
    virtual ~ObjectWriter() = default;
    virtual Status write(std::string_view bytes) = 0;
    /// Makes the object visible and, on `file:`, durable. False where `write_new` began it and the name is taken: then nothing
    /// has happened.
    virtual Result<bool> close() = 0;
};

/// An object being read from its beginning. One thread.
class ObjectReader {
  public:
    virtual ~ObjectReader() = default;
    /// The next bytes: fewer than `size` at the end only.
    virtual Result<std::string> read(uint64_t size) = 0;
};

/// Objects by name in a folder or a bucket: each is visible whole or not at all. Any thread. Passing failures are tried again
/// inside; an error that comes back is of kind `unavailable` when another time may be better, and names the object by an URL
/// without secrets.
class ObjectStore {
  public:
    virtual ~ObjectStore() = default;

    /// No request is made yet. For s3: the first call loads Arrow's library for it.
    static Result<std::shared_ptr<ObjectStore>> open(const ObjectStoreSettings& settings);

    /// Replaces an object that is there.
    Status put(const std::string& name, std::string_view content);
    /// False, and nothing done, where the name is taken. Two at once: where names_exclusive() one of them gets false; elsewhere
    /// both may get true, so names there must be the writer's own.
    Result<bool> put_new(const std::string& name, std::string_view content);

    virtual Result<std::unique_ptr<ObjectWriter>> write(const std::string& name) = 0;
    virtual Result<std::unique_ptr<ObjectWriter>> write_new(const std::string& name) = 0;

    /// Error code `no_such_object` where it is not there, `object_too_large` past `most_bytes`.
    Result<std::string> get(const std::string& name, uint64_t most_bytes = uint64_t{256} << 20);
    /// The same code where it is not there.
    virtual Result<std::unique_ptr<ObjectReader>> read(const std::string& name) = 0;

    /// Nothing where it is not there.
    virtual Result<std::optional<ObjectInfo>> info(const std::string& name) = 0;
    /// All objects whose name begins with `folder` (a name that ends with a slash, or ""), sorted by name. Not being there is
    /// an empty list. What is half written is never among them.
    virtual Result<std::vector<ObjectInfo>> list(const std::string& folder) = 0;
    /// Not being there is no error.
    virtual Status remove(const std::string& name) = 0;

    /// For people: "gs://bucket/prefix/name".
    virtual std::string url(const std::string& name) const = 0;
    /// Whether put_new is exclusive however many write at once.
    virtual bool names_exclusive() const = 0;
};

}  // namespace penstock::io
