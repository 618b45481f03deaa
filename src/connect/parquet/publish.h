#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "connect/parquet/storage.h"

namespace penstock::parquet {

/// How the files of a commit appear, all or none, whatever kills the process:
///
///   staging   _penstock/staging/<pipeline>.<run_id>/…   everything is written and flushed here, unseen by readers
///   intent    …/intent.json                             written whole and flushed: from here on the commit has happened
///   moves     rename or exchange, one after another      data first, bookkeeping, then the manifest with the checkpoint
///   cleanup   the intent is removed, then the folder
///
/// Before the intent a restart removes the staging folder; after it a restart makes the moves that are missing. Each move
/// can be asked whether it was made, so that making all of them again is harmless.

/// One step of publishing; paths are relative to the root.
struct Move {
    std::string from;  ///< in the staging folder
    std::string to;
    std::string marker;  ///< exchange: what `to` holds once it is made; "" is a plain rename

    bool operator==(const Move&) const = default;
};

/// A staging folder, the unit of commit and recovery. It belongs to whoever holds the pipeline's lock.
class Unit {
  public:
    Unit(Path root, const std::string& pipeline, const std::string& run_id);

    const Path& root() const { return root_; }
    /// Relative to the root.
    const Path& folder() const { return folder_; }
    Path absolute() const { return root_ / folder_; }

    /// An empty folder.
    Status create() const;
    /// Flushes all that is staged and writes the intent.
    Status write_intent(const std::vector<Move>& moves) const;
    bool has_intent() const;
    /// Makes the moves of the intent that are not made yet; `between` is called before each move and after the last.
    Status finish(const std::function<Status()>& between) const;
    /// Removes the folder; its intent first.
    Status remove() const;

  private:
    friend Result<int> recover(const Path& root, const std::string& pipeline, const std::function<Status()>& between);
    Unit(Path root, Path folder) : root_(std::move(root)), folder_(std::move(folder)) {}
    Path root_;
    Path folder_;
};

/// Locked in the unit of a process that shares the pipeline with others, for as long as it lives.
inline constexpr const char* living_file = "living";

/// Deals with what earlier runs of the pipeline left: finishes those with an intent, removes the others, and leaves alone what
/// a living process is at work on. How many there were. The caller holds the pipeline's lock.
Result<int> recover(const Path& root, const std::string& pipeline, const std::function<Status()>& between = {});

/// Whether `recover` would have something to do.
bool has_leftovers(const Path& root, const std::string& pipeline);

/// _penstock/locks/<pipeline>.lock below the root.
Path lock_file(const Path& root, const std::string& pipeline);

}  // namespace penstock::parquet
