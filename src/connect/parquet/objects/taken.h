#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "io/object_store.h"

namespace penstock::parquet {

/// Which objects a table has, as the target's checkpoint says it. The newest are known each by name, size and time of writing; of
/// those before, only the time of the newest and their number: what is older than that and not known by name was taken, as
/// long as there is no more of it than was. A list of all names would grow for ever, and a time alone would pass over objects
/// that arrive with an old time.
class Taken {
  public:
    explicit Taken(size_t most) : most_(most) {}
    static Result<Taken> parse(std::string_view position, size_t most);

    enum class Is { fresh, taken, changed, older };
    Is look(const io::ObjectInfo& object) const;
    void add(const io::ObjectInfo& object);

    /// Of objects that are `older`: how many there may be.
    int64_t forgotten() const { return forgotten_; }
    /// There are no more of them any more.
    void forget_down_to(int64_t there);

    /// JSON of some 22 bytes an object.
    std::string to_json() const;

  private:
    struct Known {
        uint32_t seconds = 0;  ///< since 1970, of its writing
        uint32_t mark = 0;     ///< of its size and the time to the microsecond
    };
    static Known known(const io::ObjectInfo& object);

    size_t most_;
    std::map<uint64_t, Known> objects_;  // by a hash of the name
    uint32_t until_ = 0;                 // the newest of what is not known by name any more
    int64_t forgotten_ = 0;
};

}  // namespace penstock::parquet
