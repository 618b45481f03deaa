#pragma once

#include "config/document.h"

namespace penstock::config {

/// The rules of a document that look at more than one pipeline. Each reports what it finds.

/// `after` names pipelines of the file, and no pipeline waits for itself, directly or through others.
void check_after(const Document& document, Diagnostics& diagnostics);

/// A pipeline that is scheduled by those it comes after has one schedule from them; pools are those of the file.
void check_schedules(const Document& document, Diagnostics& diagnostics);

/// No two pipelines write to the same table or path of the same system.
void check_targets(const Document& document, Diagnostics& diagnostics);

}  // namespace penstock::config
