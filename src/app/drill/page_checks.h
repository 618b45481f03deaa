#pragma once

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "app/drill/sandbox.h"

namespace penstock::app {

/// A relation as it is named to people.
struct RelationName {
    std::string database;
    std::string relation;  ///< public.orders, or public.orders_pkey
    std::string kind;      ///< table, index, toast, sequence
    std::string table;     ///< that an index or toast table belongs to; "" of a table
};

/// Something that is wrong in the files of a relation.
struct PageFault {
    RelationName in;
    std::string file;  ///< below the data folder; "" where that is not known
    int64_t page = -1;
    int64_t item = -1;  ///< a row's place in its page
    std::string what;
};

/// What was read of a restored server's files, and what is wrong in them.
struct PageChecks {
    static constexpr size_t most_faults = 1000;      ///< kept; of one relation a hundred
    int64_t databases = 0, tables = 0, indexes = 0;  ///< read whole by amcheck
    bool has_checksums = false;
    int64_t checksums = -1;  ///< pages whose checksum was computed; -1 none, as `no_checksums` says
    std::string no_checksums;
    std::vector<PageFault> faults;
    std::vector<std::pair<RelationName, std::string>> not_checked;  ///< and why
    std::map<std::string, RelationName> files;                      ///< of every relation with a file of its own
};

/// Reads every table (verify_heapam, out-of-line values as well) and B-tree index (bt_index_check: order, and an entry for each
/// row) of every database by amcheck, which is made for it in the sandbox. An error where that cannot be asked; what is wrong is a
/// fault of the answer.
Result<PageChecks> check_pages(const Sandbox& sandbox, const std::stop_token& stop);

/// Of a server that was stopped: the checksum of each page, by pg_checksums. Adds to the answer.
Status check_checksums(const Sandbox& sandbox, PageChecks& checks, const std::stop_token& stop);

/// "table public.orders, database shop: page 3, item 7 of base/16384/16400: …"
std::string fault_text(const PageFault& fault);

}  // namespace penstock::app
