#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/error.h"

namespace penstock::app::http {

/// What slow places such as stores have answered, for a while: pages that are open ask again and again, and a store that does not answer
/// must keep nobody waiting twice. Of several who ask for the same, one does; the others get what was known before, or wait for that one.
/// Any thread.
class KeptAnswers {
  public:
    using Json = nlohmann::ordered_json;
    using Ask = std::function<Result<Json>()>;

    /// The answer with `asked_at`, and `trouble`: null, or the error because of which it is an older one. Where there is no older one, that
    /// error. `version` is what the state knows of the thing: where it is another one, nothing older will do as fresh.
    Result<Json> get(const std::string& key, const std::string& version, const Ask& ask);

  private:
    struct Kept;
    static Result<Json> shown(const Kept& kept);
    void let_go_of_stale();

    std::mutex mutex_;
    std::condition_variable answered_;
    std::map<std::string, std::shared_ptr<Kept>> kept_;
};

}  // namespace penstock::app::http
