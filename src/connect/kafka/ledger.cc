#include "connect/kafka/ledger.h"

#include "connect/kafka/producer.h"

namespace penstock::kafka {

Result<std::vector<flow::RejectRecord>> Ledger::rejects(const flow::RejectFilter& filter) {
    return bookkeeping_.rejects(filter, {});
}

Result<int64_t> Ledger::resolve(const flow::RejectFilter& filter, flow::Resolution resolution, TimePoint at) {
    auto open_only = filter;
    open_only.open_only = true;
    // Of its own id: a run of the pipeline goes on beside it, two that resolve fence each other.
    ProducerSettings settings{.transactional_id = "penstock." + pipeline_ + ".rejects",
                              .message_bytes = largest_reject};
    PN_TRY(auto producer, Producer::open(connection_, settings, {}));
    PN_TRY(auto found, bookkeeping_.rejects(open_only, {}));
    if (found.empty()) return 0;
    PN_CHECK(producer->begin());
    for (auto& record : found) {
        (resolution == flow::Resolution::replayed ? record.replayed_at : record.discarded_at) = at;
        PN_CHECK(bookkeeping_.write_reject(*producer, record, largest_reject));
    }
    PN_CHECK(producer->commit());
    return static_cast<int64_t>(found.size());
}

Result<std::vector<flow::SchemaRecord>> Ledger::schema_history(std::string_view) {
    return std::vector<flow::SchemaRecord>();
}

Result<std::vector<flow::BatchRecord>> Ledger::checkpoints(std::string_view pipeline) {
    return bookkeeping_.batches(pipeline, {});
}

}  // namespace penstock::kafka
