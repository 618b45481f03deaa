#if defined(__SANITIZE_THREAD__)
#define BOOST_ASIO_DISABLE_FENCED_BLOCK  // the sanitizer knows no fences; the queue's lock orders handlers without them
#endif

#include "app/http/server.h"

#include <fmt/format.h>

#include <array>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "app/http/answer.h"
#include "base/log.h"

namespace penstock::app::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr uint32_t most_head_bytes = 16 * 1024;
constexpr std::chrono::seconds linger{2};
constexpr size_t most_wasted_bytes = size_t{64} << 20;

class Session;

/// What the one thread of input and output has; sessions belong to it alone.
struct Loop {
    ServerSettings settings;
    Server::MostBytes most_bytes;
    Server::Handler handler;
    bool draining = false;
    std::function<void()> when_empty;
    std::set<Session*> sessions;
    // What is under way holds sessions, so these end first.
    asio::io_context context{1};
    asio::thread_pool handlers;

    Loop(ServerSettings chosen, Server::MostBytes most, Server::Handler handle)
        : settings(std::move(chosen)),
          most_bytes(std::move(most)),
          handler(std::move(handle)),
          handlers(settings.threads) {}
};

Response too_large(size_t most) {
    return error_answer(413, "body_too_large", fmt::format("the body is larger than {} bytes", most),
                        "send less, or raise `max_bytes` of the trigger");
}

/// Of a request whose text is wrong, rather than of a connection that went
/// away.
bool is_malformed(const beast::error_code& error) {
    static const auto& category = wire::make_error_code(wire::error::bad_method).category();
    return error.category() == category && error != wire::error::end_of_stream && error != wire::error::partial_message;
}

bool is_loopback(const tcp::socket& socket) {
    boost::system::error_code gone;
    auto address = socket.remote_endpoint(gone).address();
    if (gone) return false;
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
    return address.is_loopback();
}

Request read(wire::request<wire::string_body>&& from, bool from_loopback) {
    Request request;
    request.from_loopback = from_loopback;
    request.method = std::string(from.method_string());
    split_target(std::string_view(from.target().data(), from.target().size()), request);
    for (const auto& field : from) {
        std::string name(field.name_string());
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        request.headers[name] = std::string(field.value());
    }
    request.body = std::move(from.body());
    return request;
}

void handle(const Server::Handler& handler, Request request, const Reply& reply) {
    try {
        handler(std::move(request), reply);
    } catch (const std::exception& error) {
        log::error("a request failed by an unexpected exception: {}", error.what());
        reply.send(error_answer(500, "unexpected_exception", "the request could not be handled", "look into the log"));
    }
}

/// One connection: head, body, handler, answer, and again.
class Session : public std::enable_shared_from_this<Session> {
  public:
    Session(Loop& loop, tcp::socket socket)
        : loop_(loop), from_loopback_(is_loopback(socket)), stream_(std::move(socket)) {
        loop_.sessions.insert(this);
    }
    ~Session() {
        loop_.sessions.erase(this);
        if (loop_.sessions.empty() && loop_.when_empty) loop_.when_empty();
    }

    void begin() { read_head(loop_.settings.head_time); }
    void close_if_idle() {
        if (idle_) stream_.close();
    }

  private:
    void read_head(std::chrono::seconds time) {
        parser_.emplace();
        parser_->header_limit(most_head_bytes);
        parser_->body_limit(boost::none);  // by path, once it is known
        idle_ = true;
        stream_.expires_after(time);
        wire::async_read_header(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](beast::error_code error, size_t) { self->head_came(error); });
    }

    void head_came(beast::error_code error) {
        idle_ = false;
        if (error == wire::error::header_limit)
            return refuse(
                error_answer(431, "head_too_large", "the head of the request is larger than 16 KiB", "send less"));
        if (is_malformed(error)) return refuse(error_answer(400, "bad_request", "this is no HTTP request", ""));
        if (error) return;  // gone, or too slow
        Request head;
        auto target = parser_->get().target();
        split_target(std::string_view(target.data(), target.size()), head);
        most_bytes_ = loop_.most_bytes(head.path);
        auto length = parser_->content_length();
        if (length && *length > most_bytes_) return refuse(too_large(most_bytes_));
        parser_->body_limit(most_bytes_);
        stream_.expires_after(loop_.settings.body_time);
        if (beast::iequals(parser_->get()[wire::field::expect], "100-continue")) return say_go_on();
        read_body();
    }

    void say_go_on() {
        go_on_.emplace(wire::status::continue_, 11);
        wire::async_write(stream_, *go_on_, [self = shared_from_this()](beast::error_code error, size_t) {
            if (!error) self->read_body();
        });
    }

    void read_body() {
        wire::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](beast::error_code error, size_t) { self->body_came(error); });
    }

    void body_came(beast::error_code error) {
        if (error == wire::error::body_limit) return refuse(too_large(most_bytes_));
        if (is_malformed(error)) return refuse(error_answer(400, "bad_request", "this is no HTTP request", ""));
        if (error) return;
        keep_alive_ = parser_->get().keep_alive();
        head_only_ = parser_->get().method() == wire::verb::head;
        stream_.expires_never();  // how long an answer takes is the handler's business
        auto self = shared_from_this();
        auto send = [self](Response response) {
            asio::post(self->loop_.context,
                       [self, given = std::move(response)]() mutable { self->write(std::move(given)); });
        };
        auto later = [&context = loop_.context](std::chrono::milliseconds time, std::function<void()> then) {
            asio::post(context, [&context, time, does = std::move(then)]() mutable {
                auto timer = std::make_shared<asio::steady_timer>(context, time);
                timer->async_wait([timer, does = std::move(does)](beast::error_code stopped) {
                    if (!stopped) does();
                });
            });
        };
        asio::post(loop_.handlers, [&handler = loop_.handler, request = read(parser_->release(), from_loopback_),
                                    reply = Reply(std::move(send), std::move(later))]() mutable {
            handle(handler, std::move(request), reply);
        });
    }

    void refuse(Response response) {
        keep_alive_ = false;
        write(std::move(response));
    }

    void write(Response response) {
        auto made = std::make_shared<wire::response<wire::string_body>>(static_cast<wire::status>(response.status), 11);
        made->set(wire::field::server, "penstock");
        made->set(wire::field::content_type, response.type);
        made->set(wire::field::cache_control, "no-store");
        made->set("X-Content-Type-Options", "nosniff");
        for (const auto& [name, value] : response.headers) made->set(name, value);
        keep_alive_ = keep_alive_ && !loop_.draining;
        made->keep_alive(keep_alive_);
        made->body() = std::move(response.body);
        made->prepare_payload();
        if (head_only_) made->body().clear();  // its length stands
        stream_.expires_after(loop_.settings.body_time);
        wire::async_write(stream_, *made, [self = shared_from_this(), made](beast::error_code error, size_t) {
            if (error) return;
            if (self->keep_alive_ && !self->loop_.draining) self->read_head(self->loop_.settings.idle_time);
            else self->say_goodbye();
        });
    }

    /// What is still on its way from the client is taken, because a socket closed
    /// over it would take the answer back.
    void say_goodbye() {
        beast::error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream_.expires_after(linger);
        discard();
    }

    void discard() {
        stream_.async_read_some(asio::buffer(waste_),
                                [self = shared_from_this()](beast::error_code error, size_t size) {
                                    self->wasted_ += size;
                                    if (!error && self->wasted_ < most_wasted_bytes) self->discard();
                                });
    }

    Loop& loop_;
    bool from_loopback_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{size_t{64} * 1024};
    std::optional<wire::request_parser<wire::string_body>> parser_;
    std::optional<wire::response<wire::empty_body>> go_on_;
    std::array<char, 16 * 1024> waste_{};
    size_t most_bytes_ = 0;
    size_t wasted_ = 0;
    bool keep_alive_ = false;
    bool head_only_ = false;
    bool idle_ = true;
};

/// Whoever lets go of it last, a session ends on the loop's thread, which its list belongs to.
std::shared_ptr<Session> make_session(Loop& loop, tcp::socket socket) {
    return {new Session(loop, std::move(socket)), [&context = loop.context](Session* session) {
                asio::dispatch(context, [owned = std::unique_ptr<Session>(session)] {});
            }};
}

}  // namespace

std::string Request::header(const std::string& lower_case_name) const {
    auto found = headers.find(lower_case_name);
    return found == headers.end() ? "" : found->second;
}

struct Reply::Once {
    std::mutex mutex;
    Send send;
    Later later;

    void give(Response response) {
        Send taken;
        {
            std::lock_guard lock(mutex);
            taken = std::exchange(send, nullptr);
        }
        if (taken) taken(std::move(response));
    }
    ~Once() {
        if (send)
            send(error_answer(500, "no_answer", "the request was dropped without an answer", "look into the log"));
    }
};

Reply::Reply(Send send, Later later) : once_(std::make_shared<Once>()) {
    once_->send = std::move(send), once_->later = std::move(later);
}

void Reply::send(Response response) const { once_->give(std::move(response)); }

void Reply::send_after(std::chrono::milliseconds time, Response response) const {
    once_->later(time, [once = std::weak_ptr(once_), given = std::move(response)] {
        if (auto waiting = once.lock()) waiting->give(given);
    });
}

struct Server::State {
    Loop loop;
    tcp::acceptor acceptor{loop.context};
    uint16_t port = 0;
    std::thread thread;

    State(ServerSettings settings, MostBytes most, Handler handler)
        : loop(std::move(settings), std::move(most), std::move(handler)) {}

    /// Throws.
    void listen() {
        tcp::resolver resolver(loop.context);
        auto found = resolver.resolve(loop.settings.host, std::to_string(loop.settings.port), tcp::resolver::passive);
        tcp::endpoint endpoint = *found.begin();
        acceptor.open(endpoint.protocol());
        acceptor.set_option(asio::socket_base::reuse_address(true));
        acceptor.bind(endpoint);
        acceptor.listen();
        port = acceptor.local_endpoint().port();
    }

    void accept() {
        acceptor.async_accept([this](beast::error_code error, tcp::socket socket) {
            if (!acceptor.is_open()) return;
            if (error) {  // out of descriptors, most likely
                log::warning("a connection was not accepted: {}", error.message());
                auto pause = std::make_shared<asio::steady_timer>(loop.context, std::chrono::milliseconds(200));
                pause->async_wait([this, pause](beast::error_code) { accept(); });
                return;
            }
            // Whoever comes too much is let go at once: its balancer has others to
            // ask.
            if (loop.sessions.size() < loop.settings.most_connections) make_session(loop, std::move(socket))->begin();
            accept();
        });
    }
};

Result<std::unique_ptr<Server>> Server::open(ServerSettings settings, MostBytes most_bytes, Handler handler) {
    auto place = fmt::format("{}:{}", settings.host, settings.port);
    auto state = std::make_unique<State>(std::move(settings), std::move(most_bytes), std::move(handler));
    try {
        state->listen();
    } catch (const std::exception& error) {
        return fail({.kind = ErrorKind::refused,
                     .code = "cannot_listen",
                     .message = fmt::format("cannot listen on {}: {}", place, error.what()),
                     .where = "--listen",
                     .hint = "is another process there, or the address of another machine?"});
    }
    state->accept();
    state->thread = std::thread([loop = &state->loop] { loop->context.run(); });
    return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() {
    state_->loop.context.stop();
    state_->thread.join();
    state_->loop.handlers.join();
}

uint16_t Server::port() const { return state_->port; }

void Server::drain(std::chrono::milliseconds most) {
    auto empty = std::make_shared<std::promise<void>>();
    auto told = empty->get_future();
    asio::post(state_->loop.context, [state = state_.get(), empty] {
        beast::error_code ignored;
        state->acceptor.close(ignored);
        state->loop.draining = true;
        state->loop.when_empty = [empty, done = false]() mutable {
            if (!std::exchange(done, true)) empty->set_value();
        };
        if (state->loop.sessions.empty()) return state->loop.when_empty();
        for (auto* session : state->loop.sessions) session->close_if_idle();
    });
    told.wait_for(most);
}

}  // namespace penstock::app::http
