#include "io/bucket_store.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/filesystem.h>
#include <arrow/filesystem/gcsfs.h>
#include <arrow/filesystem/s3fs.h>
#include <arrow/io/interfaces.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <any>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "io/url.h"

namespace penstock::io {
namespace {

namespace afs = arrow::fs;

// ---------------------------------------------------------------- errors

bool says(std::string_view text, std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [&](auto word) { return text.find(word) != text.npos; });
}

/// By the words that the AWS SDK and Google's client put into every failure: both name the service's own error.
Error store_error(std::string_view what, const std::string& url, const arrow::Status& status) {
    std::string text = status.message();
    Error error{
        .kind = ErrorKind::unavailable,
        .code = "store_unavailable",
        .message = redact(fmt::format("cannot {} {}: {}", what, url, text)),
        .hint = "the store did not answer as it should: try again later, or look at its status and the network"};
    if (says(text, {"NO_SUCH_BUCKET", "NoSuchBucket", "bucket does not exist", "bucket doesn't exist"})) {
        error.kind = ErrorKind::refused;
        error.code = "no_such_bucket";
        error.hint = "make the bucket, or mend the connection's `url:`: Penstock makes none";
    } else if (says(text, {"ACCESS_DENIED", "AccessDenied", "PERMISSION_DENIED", "UNAUTHENTICATED", "HTTP status 403",
                           "HTTP status 401", "InvalidAccessKeyId", "SignatureDoesNotMatch", "INVALID_ACCESS_KEY_ID",
                           "SIGNATURE_DOES_NOT_MATCH"})) {
        error.kind = ErrorKind::refused;
        error.code = "store_access_denied";
        error.hint =
            "check the connection's credentials, and that they may list, read, write and delete objects below its url";
    } else if (says(text, {"could not load credentials", "No credentials",
                           "Could not automatically determine "
                           "credentials",
                           "Could not create a OAuth2 access token"})) {
        error.kind = ErrorKind::refused;
        error.code = "store_no_credentials";
        error.hint = "name a key in the connection, or set the variables that the system's own tools read";
    } else if (says(text, {"NO_SUCH_KEY", "NoSuchKey", "RESOURCE_NOT_FOUND", "NOT_FOUND", "Path does not exist"})) {
        error.kind = ErrorKind::refused;
        error.code = "no_such_object";
        error.hint = "somebody removed it; restore it, or leave it out";
    }
    return error;
}

// ---------------------------------------------------------------- Arrow's library for S3

arrow::Status (*s3_finalizer)() = nullptr;

/// The one beside the libarrow that this program has loaded; an Arrow that has S3 in itself needs none.
Status load_s3() {
    static std::mutex once;
    static bool loaded = false;
    std::scoped_lock lock(once);
    if (loaded) return {};
    Dl_info arrow{};
    using Load = arrow::Status (*)(const char*);
    Load load = &afs::LoadFileSystemFactories;
    if (::dladdr(reinterpret_cast<void*>(load), &arrow) == 0 || arrow.dli_fname == nullptr) arrow.dli_fname = "";
    std::filesystem::path library = arrow.dli_fname;
    std::string name = library.filename().string();
    if (auto stem = name.find("libarrow"); stem != name.npos) name.replace(stem, 8, "libarrow_s3");
    std::error_code ignored;
    auto beside = library.parent_path() / name;
    if (std::filesystem::exists(beside, ignored))
        if (auto status = load(beside.c_str()); !status.ok())
            return fail({.kind = ErrorKind::internal,
                         .code = "store_library",
                         .message = fmt::format("cannot load {}: {}", beside.string(), status.message()),
                         .hint = "install Penstock anew: the libraries beside it belong together"});
    void* s3 = ::dlopen(beside.c_str(), RTLD_NOW | RTLD_NOLOAD);
    s3_finalizer = reinterpret_cast<arrow::Status (*)()>(
        ::dlsym(s3 == nullptr ? RTLD_DEFAULT : s3, "_ZN5arrow2fs17EnsureS3FinalizedEv"));
    loaded = true;
    return {};
}

/// The SDK has threads of its own that must end before its library goes. Called once the SDK is up, so that this comes before
/// what itself does at exit; by name, because what is loaded late cannot be linked to.
void finalize_s3_at_exit() {
    static const int done = s3_finalizer == nullptr ? 0 : std::atexit([] { (void)s3_finalizer(); });
    (void)done;
}

/// Waits 0.2 s, 0.4 s … up to 10 s, as often as fits into the time given.
class PatientRetry : public afs::S3RetryStrategy {
  public:
    explicit PatientRetry(std::chrono::milliseconds give_up) {
        for (std::chrono::milliseconds waited{}; waited < give_up; waited += delay(most_)) ++most_;
    }
    bool ShouldRetry(const AWSErrorDetail& error, int64_t attempted) override {
        return error.should_retry && attempted < most_;
    }
    int64_t CalculateDelayBeforeNextRetry(const AWSErrorDetail&, int64_t attempted) override {
        return delay(attempted).count();
    }

  private:
    static std::chrono::milliseconds delay(int64_t attempt) {
        return std::min(std::chrono::milliseconds(200 * (1L << std::min<int64_t>(attempt, 16))),
                        std::chrono::milliseconds(10000));
    }
    int64_t most_ = 0;
};

using FileSystem = std::shared_ptr<afs::FileSystem>;

std::string host_of(const Origin& origin) { return origin.text.substr(origin.text.find("://") + 3); }

Error cannot_open(const ObjectStoreSettings& settings, const arrow::Status& status) {
    return store_error("open", settings.url, status);
}

Result<FileSystem> open_s3(const ObjectStoreSettings& settings, const std::string& bucket) {
    PN_CHECK(load_s3());
    // Small objects go in one request.
    std::string uri = fmt::format("s3://{}?allow_delayed_open=true", bucket);
    std::string region = settings.region;
    if (!settings.endpoint.empty()) {
        PN_TRY(auto origin, origin_of(settings.endpoint));
        uri += fmt::format("&scheme={}&endpoint_override={}", origin.encrypted ? "https" : "http",
                           escape_url(host_of(origin)));
        if (region.empty()) region = "us-east-1";  // else the SDK asks where it is, whom there may not be
    }
    if (!region.empty()) uri += "&region=" + escape_url(region);
    std::shared_ptr<afs::S3RetryStrategy> retries = std::make_shared<PatientRetry>(settings.give_up);
    afs::FileSystemFactoryOptions options{{"retry_strategy", retries}};
    if (!settings.access_key.empty()) {
        options.emplace_back("access_key", settings.access_key.reveal());
        options.emplace_back("secret_key", settings.secret_key.reveal());
        if (!settings.session_token.empty()) options.emplace_back("session_token", settings.session_token.reveal());
    }
    auto made = afs::FileSystemFromUriAndOptions(uri, options);
    if (!made.ok()) return fail(cannot_open(settings, made.status()));
    finalize_s3_at_exit();
    return *made;
}

Result<std::string> read_key(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (in && !text.empty()) return text;
    return fail({.kind = ErrorKind::configuration,
                 .code = "credentials_file",
                 .message = fmt::format("cannot read the key file {}", file.string()),
                 .hint = "name a service account's key file (JSON) that this user may read"});
}

Result<FileSystem> open_gs(const ObjectStoreSettings& settings) {
    std::optional<Origin> endpoint;
    if (!settings.endpoint.empty()) {
        PN_TRY(endpoint, origin_of(settings.endpoint));
    }
    afs::GcsOptions options;
    if (!settings.key_file.empty()) {
        PN_TRY(auto key, read_key(settings.key_file));
        options = afs::GcsOptions::FromServiceAccountCredentials(key);
    } else if (endpoint && !endpoint->encrypted) {
        options = afs::GcsOptions::Anonymous();
    }
    if (endpoint) {
        options.endpoint_override = host_of(*endpoint);
        options.scheme = endpoint->encrypted ? "https" : "http";
    }
    options.retry_limit_seconds = std::chrono::duration<double>(settings.give_up).count();
    auto made = afs::GcsFileSystem::Make(options);
    if (!made.ok()) return fail(cannot_open(settings, made.status()));
    return FileSystem(*made);
}

// ---------------------------------------------------------------- the store

using Out = std::shared_ptr<arrow::io::OutputStream>;

class BucketWriter : public ObjectWriter {
  public:
    BucketWriter(ObjectStore& store, std::string name, Out out, bool can_abort)
        : store_(store), name_(std::move(name)), out_(std::move(out)), can_abort_(can_abort) {}

    /// Arrow's own destructor makes visible what there is, and so does Abort() of its streams to Google. Such a stream is left
    /// as it is, for ever: the memory of one upload, which has failed. The service forgets it after a week.
    ~BucketWriter() override {
        if (out_ == nullptr) return;
        if (can_abort_) (void)out_->Abort();
        else keep_for_ever(std::move(out_));
    }

    Status write(std::string_view bytes) override {
        if (auto status = out_->Write(bytes.data(), static_cast<int64_t>(bytes.size())); !status.ok())
            return fail(store_error("write", store_.url(name_), status));
        return {};
    }

    Result<bool> close() override {
        if (auto status = out_->Close(); !status.ok()) return fail(store_error("write", store_.url(name_), status));
        out_.reset();
        return true;
    }

  private:
    static void keep_for_ever(Out out) {
        static std::mutex one_at_once;
        static auto* kept = new std::vector<Out>;  // outlives every destructor
        std::scoped_lock lock(one_at_once);
        kept->push_back(std::move(out));
    }

    ObjectStore& store_;
    std::string name_;
    Out out_;
    bool can_abort_;
};

/// The name was taken before the first byte: takes everything, and does nothing.
class TakenWriter : public ObjectWriter {
  public:
    Status write(std::string_view) override { return {}; }
    Result<bool> close() override { return false; }
};

class BucketReader : public ObjectReader {
  public:
    BucketReader(std::string url, std::shared_ptr<arrow::io::InputStream> in)
        : url_(std::move(url)), in_(std::move(in)) {}

    Result<std::string> read(uint64_t size) override {
        std::string content(size, '\0');
        uint64_t have = 0;
        while (have < size) {
            auto got = in_->Read(static_cast<int64_t>(size - have), content.data() + have);
            if (!got.ok()) return fail(store_error("read", url_, got.status()));
            if (*got == 0) break;
            have += static_cast<uint64_t>(*got);
        }
        content.resize(have);
        return content;
    }

  private:
    std::string url_;
    std::shared_ptr<arrow::io::InputStream> in_;
};

ObjectInfo info_of(std::string name, const afs::FileInfo& found) {
    auto since = found.mtime() == afs::kNoTime ? afs::TimePoint{} : found.mtime();
    return {.name = std::move(name),
            .size = static_cast<uint64_t>(found.size()),
            .modified = std::chrono::time_point_cast<std::chrono::microseconds>(since)};
}

class BucketStore : public ObjectStore {
  public:
    BucketStore(FileSystem system, std::string scheme, std::string root)
        : system_(std::move(system)), scheme_(std::move(scheme)), root_(std::move(root)) {}

    Result<std::unique_ptr<ObjectWriter>> write(const std::string& name) override {
        auto out = system_->OpenOutputStream(path(name), nullptr);
        if (!out.ok()) return fail(store_error("write", url(name), out.status()));
        return std::make_unique<BucketWriter>(*this, name, *out, scheme_ == "s3");
    }

    Result<std::unique_ptr<ObjectWriter>> write_new(const std::string& name) override {
        PN_TRY(auto there, info(name));
        if (there) return std::make_unique<TakenWriter>();
        return write(name);
    }

    /// One request for the whole: Arrow's random access to Google begins such a one for every piece.
    Result<std::unique_ptr<ObjectReader>> read(const std::string& name) override {
        auto in = system_->OpenInputStream(path(name));
        if (!in.ok()) return fail(store_error("read", url(name), in.status()));
        return std::make_unique<BucketReader>(url(name), *in);
    }

    Result<std::optional<ObjectInfo>> info(const std::string& name) override {
        auto found = system_->GetFileInfo(path(name));
        if (!found.ok()) return fail(store_error("look at", url(name), found.status()));
        if (found->type() != afs::FileType::File) return std::optional<ObjectInfo>();
        return std::optional(info_of(name, *found));
    }

    Result<std::vector<ObjectInfo>> list(const std::string& folder) override {
        afs::FileSelector selector;
        selector.base_dir = path(folder);
        while (selector.base_dir.ends_with('/')) selector.base_dir.pop_back();
        selector.recursive = true;
        selector.allow_not_found = true;
        auto found = system_->GetFileInfo(selector);
        if (!found.ok()) return fail(store_error("list", url(folder), found.status()));
        std::vector<ObjectInfo> objects;
        for (const auto& one : *found)
            if (one.type() == afs::FileType::File) objects.push_back(info_of(one.path().substr(root_.size() + 1), one));
        std::ranges::sort(objects, {}, &ObjectInfo::name);
        return objects;
    }

    Status remove(const std::string& name) override {
        PN_TRY(auto there, info(name));
        if (!there) return {};
        if (auto status = system_->DeleteFile(path(name)); !status.ok()) {
            PN_TRY(auto still, info(name));  // an attempt whose answer was lost has done it
            if (still) return fail(store_error("remove", url(name), status));
        }
        return {};
    }

    std::string url(const std::string& name) const override { return fmt::format("{}://{}/{}", scheme_, root_, name); }
    bool names_exclusive() const override { return false; }

  private:
    std::string path(const std::string& name) const { return root_ + "/" + name; }

    FileSystem system_;
    std::string scheme_;
    std::string root_;  ///< bucket/prefix
};

}  // namespace

Result<std::shared_ptr<ObjectStore>> bucket_store(const ObjectStoreSettings& settings) {
    std::string_view url = settings.url;
    auto after = url.find("://");
    std::string scheme(url.substr(0, after));
    std::string root(after == url.npos ? std::string_view{} : url.substr(after + 3));
    while (root.ends_with('/')) root.pop_back();
    bool s3 = scheme == "s3";
    if ((!s3 && scheme != "gs") || root.empty() || root.front() == '/' || root.find_first_of("@?#") != root.npos)
        return fail({.kind = ErrorKind::configuration,
                     .code = "bad_url",
                     .message = fmt::format("\"{}\" is no URL of objects", redact(settings.url)),
                     .hint = "write file:lake, gs://bucket/prefix or s3://bucket/prefix"});
    std::string bucket = root.substr(0, root.find('/'));
    PN_TRY(auto system, s3 ? open_s3(settings, bucket) : open_gs(settings));
    return std::make_shared<BucketStore>(std::move(system), std::move(scheme), std::move(root));
}

}  // namespace penstock::io
