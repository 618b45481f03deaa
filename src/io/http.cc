#include "io/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>

#include "io/url.h"

namespace penstock::io {
namespace {

/// Once, before threads use libcurl.
void initialise() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)done;
}

/// What the callbacks of one transfer work on.
struct Transfer {
    const Request& request;
    std::stop_token stop;
    Response response;
    std::FILE* file = nullptr;
    uint64_t sent = 0;
    bool too_large = false;
    bool file_failed = false;

    Transfer(const Request& of, std::stop_token stopped) : request(of), stop(std::move(stopped)) {}
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    uint64_t body_size() const { return request.file ? request.file->size : request.body.size(); }

    Status open_file() {
        if (!request.file) return {};
        file = std::fopen(request.file->file.c_str(), "rb");
        if (file != nullptr) return {};
        return fail({.kind = ErrorKind::internal,
                     .code = "upload_file",
                     .message = fmt::format("cannot read {}: {}", request.file->file.string(), std::strerror(errno))});
    }
    ~Transfer() {
        if (file != nullptr) std::fclose(file);
    }
};

size_t on_body(char* bytes, size_t size, size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    size_t length = size * count;
    if (transfer.response.body.size() + length > transfer.request.most_bytes) {
        transfer.too_large = true;
        return 0;
    }
    transfer.response.body.append(bytes, length);
    return length;
}

std::string trimmed(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
    return std::string(text);
}

size_t on_header(char* bytes, size_t size, size_t count, void* context) {
    auto& headers = static_cast<Transfer*>(context)->response.headers;
    std::string_view line(bytes, size * count);
    if (line.starts_with("HTTP/")) headers.clear();  // those before belonged to "100 Continue"
    auto colon = line.find(':');
    if (colon == line.npos) return line.size();
    std::string name = trimmed(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    auto [known, fresh] = headers.emplace(name, trimmed(line.substr(colon + 1)));
    if (!fresh) known->second += ", " + trimmed(line.substr(colon + 1));
    return line.size();
}

size_t on_send(char* into, size_t size, size_t count, void* context) {
    auto& transfer = *static_cast<Transfer*>(context);
    size_t wanted = std::min<uint64_t>(size * count, transfer.body_size() - transfer.sent);
    if (wanted == 0) return 0;
    if (transfer.file == nullptr) {
        std::memcpy(into, transfer.request.body.data() + transfer.sent, wanted);
    } else {
        auto at = static_cast<off_t>(transfer.request.file->offset + transfer.sent);
        bool read = ::fseeko(transfer.file, at, SEEK_SET) == 0 && std::fread(into, 1, wanted, transfer.file) == wanted;
        if (!read) {
            transfer.file_failed = true;
            return CURL_READFUNC_ABORT;
        }
    }
    transfer.sent += wanted;
    return wanted;
}

/// libcurl sends a body again where a kept connection turned out to be closed.
int on_seek(void* context, curl_off_t offset, int) {
    static_cast<Transfer*>(context)->sent = static_cast<uint64_t>(offset);
    return CURL_SEEKFUNC_OK;
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Transfer*>(context)->stop.stop_requested() ? 1 : 0;
}

bool is_about_trust(CURLcode code) {
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_CERTPROBLEM;
}

Error transfer_error(const Transfer& transfer, CURLcode code, const char* detail) {
    std::string host = "the server";
    if (auto origin = origin_of(transfer.request.url)) host = origin->text;
    if (transfer.stop.stop_requested())
        return {.kind = ErrorKind::interrupted, .code = "interrupted", .message = "the request was stopped"};
    if (transfer.too_large)
        return {.kind = ErrorKind::capacity,
                .code = "answer_too_large",
                .message = fmt::format("{} answered with more than {} bytes", host, transfer.request.most_bytes)};
    if (transfer.file_failed)
        return {.kind = ErrorKind::internal,
                .code = "upload_file",
                .message = fmt::format("{} could not be read to its end", transfer.request.file->file.string())};
    std::string what = detail[0] != 0 ? detail : curl_easy_strerror(code);
    if (is_about_trust(code))
        return {.kind = ErrorKind::refused,
                .code = "certificate_not_trusted",
                .message = fmt::format("{} is not trusted: {}", host, what),
                .hint = "if a proxy or a private certificate authority stands in between, name its certificate"};
    return {.kind = ErrorKind::unavailable,
            .code = "no_answer",
            .message = fmt::format("no answer from {}: {}", host, what),
            .hint = "check that this machine reaches it; the run can be repeated"};
}

struct Headers {
    curl_slist* list = nullptr;
    void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
    ~Headers() { curl_slist_free_all(list); }
};

}  // namespace

std::string Response::header(const std::string& lower_case_name) const {
    auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
}

struct HttpClient::Handle {
    CURL* curl = curl_easy_init();
    ~Handle() { curl_easy_cleanup(curl); }

    template <class T>
    void set(CURLoption option, T value) {
        curl_easy_setopt(curl, option, value);
    }

    void set_common(const HttpSettings& settings, Transfer& transfer, char* error) {
        set(CURLOPT_ERRORBUFFER, error);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_FOLLOWLOCATION, 0L);
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout.count()));
        set(CURLOPT_USERAGENT, settings.user_agent.c_str());
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, on_progress);
        set(CURLOPT_XFERINFODATA, &transfer);
        set(CURLOPT_WRITEFUNCTION, on_body);
        set(CURLOPT_WRITEDATA, &transfer);
        set(CURLOPT_HEADERFUNCTION, on_header);
        set(CURLOPT_HEADERDATA, &transfer);
        if (!settings.ca_file.empty()) set(CURLOPT_CAINFO, settings.ca_file.c_str());
    }

    void set_request(const Request& request, Transfer& transfer, Headers& headers) {
        set(CURLOPT_URL, request.url.c_str());
        if (auto origin = origin_of(request.url); origin && origin->is_loopback()) set(CURLOPT_PROXY, "");
        bool sends = request.method != "GET" && request.method != "DELETE";
        if (sends) {
            set(CURLOPT_UPLOAD, 1L);
            set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(transfer.body_size()));
            set(CURLOPT_READFUNCTION, on_send);
            set(CURLOPT_READDATA, &transfer);
            set(CURLOPT_SEEKFUNCTION, on_seek);
            set(CURLOPT_SEEKDATA, &transfer);
        }
        set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
        for (const auto& header : request.headers) {
            if (header == "Accept-Encoding:") set(CURLOPT_ACCEPT_ENCODING, "");
            else headers.add(header);
        }
        headers.add("Expect:");
        set(CURLOPT_HTTPHEADER, headers.list);
        if (request.file) {
            // A large file may take its time as long as bytes move.
            set(CURLOPT_LOW_SPEED_LIMIT, 1L);
            set(CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(request.timeout.count() / 1000)));
        } else {
            set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
        }
    }
};

HttpClient::HttpClient(HttpSettings settings) : settings_(std::move(settings)) { initialise(); }
HttpClient::~HttpClient() = default;

std::unique_ptr<HttpClient::Handle> HttpClient::take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Handle>();
    auto handle = std::move(idle_.back());
    idle_.pop_back();
    return handle;
}

void HttpClient::give_back(std::unique_ptr<Handle> handle) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
}

int64_t HttpClient::bytes_sent() const {
    std::lock_guard lock(mutex_);
    return bytes_sent_;
}

Result<Response> HttpClient::send(const Request& request, std::stop_token stop) {
    Transfer transfer(request, std::move(stop));
    if (transfer.stop.stop_requested()) return fail(transfer_error(transfer, CURLE_ABORTED_BY_CALLBACK, ""));
    PN_CHECK(transfer.open_file());
    auto handle = take();
    if (handle->curl == nullptr)
        return fail({.kind = ErrorKind::capacity, .code = "no_memory", .message = "libcurl could not be set up"});
    curl_easy_reset(handle->curl);  // connections stay
    char detail[CURL_ERROR_SIZE] = {};
    Headers headers;
    handle->set_common(settings_, transfer, detail);
    handle->set_request(request, transfer, headers);
    CURLcode code = curl_easy_perform(handle->curl);
    long status = 0;
    curl_off_t uploaded = 0;
    curl_easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle->curl, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    give_back(std::move(handle));
    {
        std::lock_guard lock(mutex_);
        bytes_sent_ += uploaded;
    }
    if (code != CURLE_OK) return fail(transfer_error(transfer, code, detail));
    transfer.response.status = static_cast<int>(status);
    return std::move(transfer.response);
}

}  // namespace penstock::io
