#pragma once

#include <vector>

#include "app/operate/run_story.h"

namespace penstock::app {

/// Puts events of a run on record, from where Courier carries them (state/notices.h): each once, whoever says it. What cannot be
/// put there is said in the log. Nothing happens where nobody is told.
void record_begin(const RunStory& story);
/// Of a run without a foreseeable end: what it reads and writes.
void record_plan(const RunStory& story);
void record_end(const RunStory& story, const flow::RunResult& result);
void record_gone(const RunStory& story, const std::vector<state::GoneRun>& gone);

}  // namespace penstock::app
