#pragma once

#include <string>
#include <utility>
#include <vector>

#include "connect/postgres/capture/change_plan.h"
#include "connect/postgres/capture/wal2json_tuples.h"
#include "connect/postgres/session.h"

namespace penstock::postgres {

/// Partitioned tables are refused: wal2json names partitions, also those that are made later.
Status check_wal2json_tables(const ChangePlan& plan);

/// Whether the server's wal2json writes NaN and infinities (2.6 and later) instead of null, and is asked to. Where it does not
/// and nobody has said that there are none, columns of float and numeric that may be NULL are an Error. Asks the slot, which
/// must exist and be read by nobody.
Result<bool> wal2json_tells_numbers(Session& session, const ChangePlan& plan, const ChangesOptions& changes);

/// For StreamRequest::options.
std::vector<std::pair<std::string, std::string>> wal2json_options(const ChangePlan& plan, const ChangesOptions& changes,
                                                                  bool special_numbers);

/// What the catalog knows of these tables, in their order.
Result<std::vector<Wal2jsonCatalog>> wal2json_catalog(Session& session, const std::vector<IntakeTable>& tables);

/// wal2json warns of a change that it leaves out because the table had no replica identity when it was made: PostgreSQL stops
/// such changes of published tables only.
Status check_wal2json_remark(const Error& remark, const ChangePlan& plan);

/// Tables are known by name: those of the plan must still be the relations that they were. Asked of the catalog after changes
/// were received, which then is at least as new as they are.
Status check_still_named(Session& session, const ChangePlan& plan);

}  // namespace penstock::postgres
