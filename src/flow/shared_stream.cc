#include "flow/shared_stream.h"

#include "flow/sink.h"
#include "flow/source.h"
#include "flow/wrapped_source.h"

namespace penstock::flow {

SharedSource* shared_source(Source& source) {
    if (auto* wrapped = dynamic_cast<WrappedSource*>(&source)) return shared_source(wrapped->inner());
    return dynamic_cast<SharedSource*>(&source);
}

SharedSink* shared_sink(Sink& sink) { return dynamic_cast<SharedSink*>(&sink); }

Error part_moved(std::string why) {
    return {.kind = ErrorKind::unavailable,
            .code = look_again,
            .message = std::move(why),
            .hint = "nothing was written twice: what was read of it is thrown away, and read by whom it belongs to"};
}

}  // namespace penstock::flow
