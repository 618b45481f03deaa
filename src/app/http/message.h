#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "app/http/server.h"
#include "app/placeholders.h"
#include "base/error.h"

namespace penstock::app::http {

/// A message as it came, whatever it is worth.
struct Incoming {
    bool pushed = false;  ///< in the envelope of a push subscription, or unwrapped
                          ///< with its headers
    std::string id;       ///< its sender's name for it; "" when it has none
    std::string body;     ///< what it says; JSON if it is right
    std::string mistake;  ///< why the envelope is none; "" when it is good
};

/// Takes the envelope off where there is one. `takes_push` says whether the
/// path is a push subscription's.
Incoming open_envelope(const Request& request, bool takes_push);

/// Why a message is refused.
struct Violation {
    std::string path;  ///< JSON Pointer; "" is the whole message
    std::string reason;
    std::string expected;  ///< the part of the schema, as JSON, or ""
};
nlohmann::ordered_json violations_json(const std::vector<Violation>& violations);

/// A JSON Schema of the drafts 4 to 7. Any thread.
class MessageSchema {
  public:
    /// Reads the file; without one every object is good.
    static Result<MessageSchema> load(const std::filesystem::path& file);
    MessageSchema();
    MessageSchema(MessageSchema&&) noexcept;
    ~MessageSchema();

    /// The message's parameters: its members that are texts, numbers, truth
    /// values, or lists of those. What is wrong goes to `violations`, and nothing
    /// is a parameter then.
    Parameters check(const std::string& body, std::vector<Violation>& violations) const;

  private:
    struct Parsed;
    std::unique_ptr<Parsed> parsed_;
};

}  // namespace penstock::app::http
