#pragma once

#include <expected>
#include <memory>
#include <string>
#include <utility>

namespace penstock {

/// Who must act on a failure. The retry policy (flow/error_policy.h) and the exit code follow from it.
enum class ErrorKind {
    usage,          ///< the command line is wrong; the caller mends it
    configuration,  ///< penstock.yaml is wrong; its author mends it
    data,           ///< a value or row cannot be held under the chosen policy
    schema,         ///< source and target disagree in shape and the policy forbids the change
    unavailable,    ///< a system did not answer or went away; worth another try
    refused,        ///< a system answered no: authentication, privilege, missing object
    conflict,       ///< somebody else holds what is needed: a lock, a file, a run
    capacity,       ///< disk, memory or quota ran out
    check_failed,   ///< a check, verification or drill came out negative
    budget,         ///< stopped by a budget
    interrupted,    ///< a signal or a cancelled run; state is consistent
    internal,       ///< a fault of ours
};

std::string_view to_string(ErrorKind kind);

/// A failure as a value. It reads as: `message` (one sentence: what failed and why), `where` (file:line:column, table,
/// row key), `hint` (what to do). `code` is a stable snake_case name for programs. Never holds a secret.
struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::internal;
    std::string code;
    std::string message;
    std::string where = {};
    std::string hint = {};
    std::shared_ptr<const Error> cause = {};

    /// The error in lines for people: "error: message", then "  at: ", "  hint: ", "  because: " where present.
    std::string text() const;

    Error&& at(std::string place) && {
        if (where.empty()) where = std::move(place);
        return std::move(*this);
    }
    Error&& advise(std::string what) && {
        if (hint.empty()) hint = std::move(what);
        return std::move(*this);
    }
};

/// 0 done; 1 failed; 2 usage or configuration; 3 check failed; 4 budget; 130 interrupted.
int exit_code(ErrorKind kind);

/// A value or an Error; ignoring one is a compile-time warning.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  public:
    using std::expected<T, Error>::expected;
};

using Status = Result<void>;

inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace penstock

#define PN_CONCAT_2(a, b) a##b
#define PN_CONCAT(a, b) PN_CONCAT_2(a, b)

/// `PN_TRY(auto value, call());` binds the value or returns the error to the caller.
#define PN_TRY(declaration, ...) PN_TRY_2(PN_CONCAT(pn_result_, __LINE__), declaration, __VA_ARGS__)
#define PN_TRY_2(result, declaration, ...)                                            \
    auto result = (__VA_ARGS__);                                                      \
    if (!result) return ::std::unexpected<::penstock::Error>(std::move(result.error())); \
    declaration = std::move(*result)

/// `PN_CHECK(call());` returns the error to the caller, or goes on.
#define PN_CHECK(...)                                                                          \
    do {                                                                                       \
        auto pn_status = (__VA_ARGS__);                                                        \
        if (!pn_status) return ::std::unexpected<::penstock::Error>(std::move(pn_status.error())); \
    } while (false)
