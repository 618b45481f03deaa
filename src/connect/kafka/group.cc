#include "connect/kafka/group.h"

#include "base/log.h"

namespace penstock::kafka {
namespace {

PartitionList list_of(const Group::Change& change) {
    PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(change.partitions.size())));
    for (const auto& [topic, partition] : change.partitions)
        rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition);
    return list;
}

}  // namespace

void Group::on_rebalance(rd_kafka_t* handle, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* partitions,
                         void* opaque) {
    auto* self = static_cast<Group*>(opaque);
    bool given = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (self->closing_) {
        // Nobody reads what is given now.
        auto* error = rd_kafka_incremental_unassign(handle, partitions);
        if (given || error != nullptr) rd_kafka_assign(handle, nullptr);
        if (error != nullptr) rd_kafka_error_destroy(error);
        return;
    }
    Change change{.kind = given                              ? Change::Kind::given
                          : rd_kafka_assignment_lost(handle) ? Change::Kind::lost
                                                             : Change::Kind::wanted,
                  .partitions = {}};
    for (int i = 0; i < partitions->cnt; ++i)
        change.partitions.emplace_back(partitions->elems[i].topic, partitions->elems[i].partition);
    self->change_ = std::move(change);
}

Status Group::accept(const Client& client, const std::vector<int64_t>& offsets) {
    auto list = list_of(*change_);
    for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = offsets[static_cast<size_t>(i)];
    change_.reset();
    if (auto* error = rd_kafka_incremental_assign(client.handle(), list.get()))
        return fail(client.error(error, "taking partitions that the group gives"));
    return {};
}

Status Group::release(const Client& client) {
    auto list = list_of(*change_);
    change_.reset();
    if (auto* error = rd_kafka_incremental_unassign(client.handle(), list.get()))
        return fail(client.error(error, "letting partitions of the group go"));
    return {};
}

void Group::close(const Client& client) {
    closing_ = true;
    if (!change_) return;
    // One that is not answered keeps the consumer open for ever.
    if (change_->kind == Change::Kind::given) {
        change_.reset();
        rd_kafka_assign(client.handle(), nullptr);
    } else if (auto released = release(client); !released) {
        log::debug("{}", released.error().message);
    }
}

}  // namespace penstock::kafka
