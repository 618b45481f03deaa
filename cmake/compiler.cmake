# Standard, warnings, sanitizers, and the two tools that make a rebuild quick where they are installed.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release or Debug" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")

option(PENSTOCK_WERROR "Warnings are errors" ON)
option(PENSTOCK_PCH "Precompile the heavy third-party headers" ON)
option(PENSTOCK_UNITY "Compile several files of a library as one: a third of the time from nothing" OFF)
option(PENSTOCK_FUZZ "Build the fuzzers (clang 19 or newer)" OFF)
option(PENSTOCK_COVERAGE "Measure test coverage" OFF)
set(PENSTOCK_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them")

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "g++ ${CMAKE_CXX_COMPILER_VERSION} is too old: <expected> needs g++ 12")
endif()

# Everything of ours links this; third-party headers are system headers and stay silent.
add_library(penstock_flags INTERFACE)
target_include_directories(penstock_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
# Compiled with others as one, a file does not hide on purpose what another keeps in its unnamed namespace.
set(one_of_many $<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:$<TARGET_PROPERTY:UNITY_BUILD>>>)
target_compile_options(penstock_flags INTERFACE -Wall -Wextra -Wpedantic $<IF:${one_of_many},-Wshadow=local,-Wshadow>
  $<${one_of_many}:-Wno-subobject-linkage> $<$<BOOL:${PENSTOCK_WERROR}>:-Werror>)
# Designated initializers name what differs from the default; the rest is meant to be left out.
target_compile_options(penstock_flags INTERFACE -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  # False alarms inside std::string and std::vector (GCC bugs 105329, 105651, 105562).
  target_compile_options(penstock_flags INTERFACE
    -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Taste of clang alone, about Microsoft's ABI and about what GCC and MSVC have always had.
  target_compile_options(penstock_flags INTERFACE -Wno-mismatched-tags -Wno-nested-anon-types)
endif()
# Paths inside the program do not depend on where it was built.
target_compile_options(penstock_flags INTERFACE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

# Global, because every object of ours must agree.
if(PENSTOCK_SANITIZE)
  add_compile_options(-fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PENSTOCK_SANITIZE})
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
if(PENSTOCK_COVERAGE)
  add_compile_options(--coverage -fprofile-update=atomic)
  add_link_options(--coverage)
endif()

find_program(PENSTOCK_CCACHE ccache)
if(PENSTOCK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths relative to the checkout, so that all build folders share hits; the rest is what precompiled headers need.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${PENSTOCK_CCACHE})
endif()

find_program(PENSTOCK_MOLD mold)
if(PENSTOCK_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
