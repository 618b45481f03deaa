#include "config/archive.h"

#include "config/spec.h"

namespace penstock::config {

const Spec<Archive>& archive_spec() {
    using A = Archive;
    static const auto made =
        Spec<A>("archive",
                "The messages of an event stream byte for byte, those among them that no table takes as well: an "
                "object for each route and "
                "commit, and an index beside it.")
            .required("connection", &A::connection, "The name of a files connection of this file.", {.example = "lake"})
            .field("path", &A::path,
                   "The objects' names below the connection's URL: {route} and the time in UTC. Messages without a "
                   "route are "
                   "under `unrouted`.",
                   {.example = "\"raw/{route}/{yyyy}-{MM}-{dd}/{route}_{yyyyMMddHHmmss}.json\""})
            .choice("by", &A::by,
                    {{"ingestion", ArchiveTime::ingestion, "When Penstock received the message."},
                     {"sent", ArchiveTime::sent, "When the bus got it."}},
                    "Which time names the objects.")
            .choice("compression", &A::compression,
                    {{"none", ArchiveCompression::none, "As it came."},
                     {"gzip", ArchiveCompression::gzip, "Adds .gz to the names."},
                     {"zstd", ArchiveCompression::zstd, "Adds .zst."}},
                    "How objects are packed.")
            .field("every", &A::every,
                   "How long messages are gathered before their objects are written. Rows and objects are committed "
                   "together, so "
                   "rows wait as long.")
            .field("object_bytes", &A::object_bytes, "Objects are written sooner when so much has been gathered.");
    return made;
}

}  // namespace penstock::config
