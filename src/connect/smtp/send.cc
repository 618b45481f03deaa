#include "connect/smtp/send.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace penstock::smtp {
namespace {

struct Upload {
    const std::string& mail;
    std::stop_token stop;
    size_t sent = 0;
};

size_t on_send(char* into, size_t size, size_t count, void* context) {
    auto& upload = *static_cast<Upload*>(context);
    size_t length = std::min(size * count, upload.mail.size() - upload.sent);
    std::memcpy(into, upload.mail.data() + upload.sent, length);
    upload.sent += length;
    return length;
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Upload*>(context)->stop.stop_requested() ? 1 : 0;
}

size_t on_answer(char*, size_t size, size_t count, void*) { return size * count; }

struct List {
    curl_slist* first = nullptr;
    void add(const std::string& line) { first = curl_slist_append(first, line.c_str()); }
    ~List() { curl_slist_free_all(first); }
};

/// 4yz of RFC 5321 is for now, 5yz for good; of what came to no answer, what a network does.
bool is_passing(CURLcode code, long status) {
    switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_COULDNT_CONNECT:
        case CURLE_OPERATION_TIMEDOUT:
        case CURLE_GOT_NOTHING:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_ABORTED_BY_CALLBACK: return true;
        case CURLE_SEND_ERROR: return status / 100 != 5;
        default: return status / 100 == 4;
    }
}

std::string reason(CURLcode code, long status, const char* detail) {
    std::string what = detail[0] != 0 ? detail : curl_easy_strerror(code);
    if (code == CURLE_USE_SSL_FAILED)
        return "the server offers no STARTTLS, and without encryption nothing is sent: " + what;
    if (code == CURLE_PEER_FAILED_VERIFICATION) return "the mail server is not trusted: " + what;
    if (code == CURLE_LOGIN_DENIED) return fmt::format("the mail server refused the login ({})", status);
    return status > 0 ? fmt::format("the mail server answered {}: {}", status, what) : what;
}

void set_server(CURL* curl, const ConnectionOptions& options) {
    auto url = fmt::format("{}://{}:{}", options.tls == Tls::wrapped ? "smtps" : "smtp", options.host.value,
                           options.port_or_default());
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_USE_SSL,
                     static_cast<long>(options.tls == Tls::none ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    if (!options.ca.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca.value.c_str());
    if (options.user.empty()) return;
    curl_easy_setopt(curl, CURLOPT_USERNAME, options.user.c_str());
    curl_easy_setopt(curl, CURLOPT_PASSWORD, options.password.reveal().c_str());
}

}  // namespace

io::Delivery send(const ConnectionOptions& options, const std::string& mail, std::stop_token stop) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
    if (ready != CURLE_OK || curl == nullptr) return {.passing = true, .why = "libcurl could not be set up"};
    Upload upload{.mail = mail, .stop = std::move(stop)};
    if (upload.stop.stop_requested()) return {.passing = true, .why = "it was stopped"};
    char detail[CURL_ERROR_SIZE] = {};
    List to;
    for (const auto& address : options.to) to.add("<" + address.value + ">");
    auto from = "<" + options.from.value + ">";
    auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout).count();
    set_server(curl.get(), options);
    auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
    set(CURLOPT_ERRORBUFFER, detail);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(milliseconds));
    set(CURLOPT_MAIL_FROM, from.c_str());
    set(CURLOPT_MAIL_RCPT, to.first);
    set(CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, on_send);
    set(CURLOPT_READDATA, &upload);
    set(CURLOPT_WRITEFUNCTION, on_answer);
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, &upload);
    CURLcode code = curl_easy_perform(curl.get());
    if (code == CURLE_OK) return {.delivered = true, .why = ""};
    long status = 0;
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
    if (upload.stop.stop_requested()) return {.passing = true, .why = "it was stopped"};
    return {.passing = is_passing(code, status), .why = reason(code, status, detail)};
}

}  // namespace penstock::smtp
