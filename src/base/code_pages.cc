#include "base/code_pages.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace penstock {
namespace {

/// Segments that nobody may write have nothing in memory that their file has not; whoever relocates data does it in others.
int let_go_of(dl_phdr_info* object, size_t, void* page_size) {
    const uintptr_t page = *static_cast<const uintptr_t*>(page_size);
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        uintptr_t begin = object->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
        begin = (begin + page - 1) / page * page;  // a page at either end may be another segment's too
        end = end / page * page;
        if (begin < end) static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
    }
    return 0;
}

}  // namespace

void let_go_of_code_pages() {
    auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    dl_iterate_phdr(let_go_of, &page);
}

}  // namespace penstock
