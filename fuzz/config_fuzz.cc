// The configuration reader against arbitrary bytes: it answers with a document or an error, never more; what loads also
// survives being written and read again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/document.h"
#include "config/sample_catalog.h"

using namespace penstock;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    auto node = config::load_text(text, "fuzz.yaml");
    if (!node) {
        if (node.error().text().empty()) std::abort();
        return 0;
    }
    auto again = config::load_text(config::dump(*node), "again.yaml");
    if (!again || !again->same_as(*node)) std::abort();

    config::Diagnostics diagnostics;
    config::resolve_references(*node, config::sample_surroundings(), diagnostics);
    auto document = config::read_document(*node, config::sample_catalog(), diagnostics);
    if (!diagnostics.empty() && diagnostics.error().text().empty()) std::abort();
    if (document.run_order().size() != document.pipelines.size()) std::abort();
    return 0;
}
