#include "engine/scan_function.h"

#include <duckdb.h>
#include <fmt/format.h>

#include <exception>

#include "data/block.h"
#include "engine/error.h"
#include "engine/lend.h"
#include "engine/types.h"

namespace penstock::engine {

/// What one DuckDB thread pulls with.
struct Puller {
    std::unique_ptr<flow::ScanReader> reader;
    data::Block block;
};

/// The C functions behind penstock_scan. No exception passes them.
struct ScanCallbacks {
    static void bind(duckdb_bind_info info) {
        auto* registry = static_cast<ScanRegistry*>(duckdb_bind_get_extra_info(info));
        duckdb_value number = duckdb_bind_get_parameter(info, 0);
        LentScan* lent = registry->find(static_cast<uint64_t>(duckdb_get_int64(number)));
        duckdb_destroy_value(&number);
        if (lent == nullptr) return duckdb_bind_set_error(info, "penstock_scan: no such scan");
        for (const auto& field : lent->scan_.schema().fields) {
            LogicalType type = logical_type(field.type);
            duckdb_bind_add_result_column(info, field.name.c_str(), type.get());
        }
        if (lent->estimated_rows_ >= 0)
            duckdb_bind_set_cardinality(info, static_cast<idx_t>(lent->estimated_rows_), false);
        duckdb_bind_set_bind_data(info, lent, nullptr);
    }

    static void init(duckdb_init_info info) {
        auto* lent = static_cast<LentScan*>(duckdb_init_get_bind_data(info));
        duckdb_init_set_max_threads(info, lent->scan_.max_readers());
    }

    static void local_init(duckdb_init_info info) {
        auto* lent = static_cast<LentScan*>(duckdb_init_get_bind_data(info));
        auto puller = guarded([&] { return make_puller(*lent); });
        if (!puller) {
            duckdb_init_set_error(info, puller.error().message.c_str());
            return lent->failed(std::move(puller.error()));
        }
        duckdb_init_set_init_data(info, puller->release(), [](void* state) { delete static_cast<Puller*>(state); });
    }

    static Result<std::unique_ptr<Puller>> make_puller(LentScan& lent) {
        PN_TRY(auto reader, lent.scan_.reader());
        return std::make_unique<Puller>(Puller{std::move(reader), data::Block(lent.scan_.schema())});
    }

    static void pull(duckdb_function_info info, duckdb_data_chunk output) {
        auto* lent = static_cast<LentScan*>(duckdb_function_get_bind_data(info));
        auto* puller = static_cast<Puller*>(duckdb_function_get_local_init_data(info));
        Status status = fill(*puller, output);
        if (!status) {
            duckdb_function_set_error(info, status.error().message.c_str());
            return lent->failed(std::move(status.error()));
        }
        lent->rows_.fetch_add(static_cast<int64_t>(puller->block.rows), std::memory_order_relaxed);
    }

    static Status fill(Puller& puller, duckdb_data_chunk output) {
        return guarded([&]() -> Status {
            puller.block.clear();
            lend(puller.block, output);
            PN_CHECK(puller.reader->fill(puller.block));
            hand_over(puller.block, output);
            return {};
        });
    }

    template <class Step>
    static auto guarded(Step step) -> decltype(step()) {
        try {
            return step();
        } catch (const std::bad_alloc&) {
            return fail({.kind = ErrorKind::capacity,
                         .code = "out_of_memory",
                         .message = "no memory to decode the next rows",
                         .hint = "raise `memory:` of the pipeline, or lower `parallel:`"});
        } catch (const std::exception& error) {
            return fail({.kind = ErrorKind::internal,
                         .code = "reader_threw",
                         .message = fmt::format("decoding the next rows failed: {}", error.what())});
        }
    }
};

Status ScanRegistry::install(duckdb_connection connection, ScanRegistry& registry) {
    duckdb_table_function function = duckdb_create_table_function();
    duckdb_table_function_set_name(function, "penstock_scan");
    LogicalType number(duckdb_create_logical_type(DUCKDB_TYPE_BIGINT));
    duckdb_table_function_add_parameter(function, number.get());
    duckdb_table_function_set_extra_info(function, &registry, nullptr);
    duckdb_table_function_set_bind(function, ScanCallbacks::bind);
    duckdb_table_function_set_init(function, ScanCallbacks::init);
    duckdb_table_function_set_local_init(function, ScanCallbacks::local_init);
    duckdb_table_function_set_function(function, ScanCallbacks::pull);
    auto state = duckdb_register_table_function(connection, function);
    duckdb_destroy_table_function(&function);
    if (state == DuckDBError)
        return fail(error_from(DUCKDB_ERROR_INTERNAL, "the scan function could not be registered"));
    return {};
}

uint64_t ScanRegistry::add(LentScan& scan) {
    std::lock_guard lock(mutex_);
    scans_[next_] = &scan;
    return next_++;
}

void ScanRegistry::remove(uint64_t id) {
    std::lock_guard lock(mutex_);
    scans_.erase(id);
}

LentScan* ScanRegistry::find(uint64_t id) {
    std::lock_guard lock(mutex_);
    auto found = scans_.find(id);
    return found == scans_.end() ? nullptr : found->second;
}

LentScan::LentScan(Database& database, flow::Scan& scan, int64_t estimated_rows)
    : registry_(database.scans()), scan_(scan), estimated_rows_(estimated_rows), id_(registry_.add(*this)) {}

LentScan::~LentScan() { registry_.remove(id_); }

std::string LentScan::sql() const { return fmt::format("penstock_scan({})", id_); }

void LentScan::failed(Error error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
}

Error LentScan::original(Error from_duckdb) const {
    std::lock_guard lock(mutex_);
    return error_ ? *error_ : std::move(from_duckdb);
}

}  // namespace penstock::engine
