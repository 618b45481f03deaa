#include "app/operate/closed_rejects.h"

#include "base/log.h"
#include "state/measures.h"

namespace penstock::app {

void take_from_measures(const config::Document& document, const std::string& pipeline, int64_t closed) {
    if (closed == 0) return;
    auto measures = state::Measures::open_existing(document.state.reveal(), document.state_directory);
    auto taken = measures ? Status{} : Status(fail(measures.error()));
    if (measures && *measures)
        taken = (*measures)->take_away(
            {.owner = pipeline, .kind = state::Measure::Kind::open_rejects, .amount = closed, .measured_at = now()});
    if (!taken) log::warning("metrics do not know of {} rejects that are closed: {}", closed, taken.error().message);
}

}  // namespace penstock::app
