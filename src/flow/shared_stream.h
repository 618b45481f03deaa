#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/error.h"
#include "flow/position.h"

namespace penstock::flow {

class Sink;
class Source;

/// Several processes may share an event stream: each has a part of it (partitions, or messages that the bus has handed to it),
/// and one checkpoint in the target says how far all of them are. A process commits by merging its part, within the commit,
/// into the newest checkpoint there is:
///
///     SharedSource    rows of the part, and StreamMerge: newest checkpoint -> checkpoint with this part moved on
///     SharedSink      reads the newest, merges, commits rows and checkpoint in one step that only one process can make
///
/// A merge refuses (look_again) where the newest checkpoint is not, as far as this part is concerned, what the rows were read
/// after: somebody else has committed them meanwhile. Of two processes that take themselves for a partition's owner one
/// commits.

/// What the stream's checkpoint is once the commit is durable. Called with the newest that the target has, several times where
/// others commit at the same time.
using StreamMerge = std::function<Result<Checkpoint>(const std::optional<Checkpoint>& newest)>;
/// The newest checkpoint that the target has now.
using StreamLook = std::function<Result<std::optional<Checkpoint>>()>;

/// What a Sink is besides where several processes of one pipeline may have one at once. The runner's thread.
class SharedSink {
  public:
    virtual ~SharedSink() = default;
    /// Before plan(): other processes may have one too from now on.
    virtual void share() = 0;
    /// Any time but between begin and commit.
    virtual Result<std::optional<Checkpoint>> newest_stream() = 0;
    /// Between begin and commit, in place of Sink::keep_stream.
    virtual Status share_stream(StreamMerge merge) = 0;
};

/// A process's place among those that share a stream: no two living ones have the same.
struct Seat {
    int number = 0;  ///< from 1; 0: the stream is this process's alone
    /// Takes another seat whose process is gone, for as long as the answer is held; null where it lives.
    std::function<Result<std::shared_ptr<void>>(int number)> take = {};
};

/// What a Source is besides where its stream may be shared. The runner's thread.
class SharedSource {
  public:
    virtual ~SharedSource() = default;
    /// Whether this one's may be.
    virtual bool may_share() const = 0;
    /// Before anything else: it is shared from now on.
    virtual void sit(Seat seat) = 0;
    virtual bool is_shared() const = 0;
    /// Before open(): how to see where the target is later on.
    virtual void look_by(StreamLook look) = 0;
    /// How the stream's checkpoint of the last segment, which is this process's part, goes into the target's.
    virtual StreamMerge merge() = 0;
};

/// The source's, or that of the one it is wrapped around; null where it has none.
SharedSource* shared_source(Source& source);
SharedSink* shared_sink(Sink& sink);

/// What ends an attempt of a process whose part of the stream has become another's: nothing is lost, and nobody is at fault.
Error part_moved(std::string why);

}  // namespace penstock::flow
