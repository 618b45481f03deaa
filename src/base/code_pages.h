#pragma once

namespace penstock {

/// Takes the pages of code that start-up has touched, most of it in libraries this run has no use for, off this process's resident
/// memory. They are clean and stay in the system's cache: what is needed again is mapped again. A memory budget counts them
/// otherwise, and libarrow alone touches 10 MB when it is loaded.
void let_go_of_code_pages();

}  // namespace penstock
