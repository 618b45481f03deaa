# One static library, and one test program, for each folder of src.

set(penstock_folders "")        # declared and present
set(penstock_known_folders "")  # declared

# Files every body is likely to need. Headers must not rely on it: the coverage and tsan presets build without.
set(penstock_pch <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <span> <string> <string_view>
  <unordered_map> <utility> <variant> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# penstock_folder(connect/postgres USES flow state LIBS PostgreSQL::PostgreSQL)
#   library penstock_connect_postgres from *.cc there and below, program connect_postgres_tests from *_test.cc.
# A folder without sources is skipped; one with headers only becomes an interface.
macro(penstock_folder folder)
  list(APPEND penstock_known_folders ${folder})
  penstock_folder_targets(${folder} ${ARGN})
  string(REPLACE "/" "_" penstock_name ${folder})
  if(TARGET penstock_${penstock_name})
    list(APPEND penstock_folders ${folder})
  endif()
endmacro()

function(penstock_folder_targets folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "USES;LIBS")
  string(REPLACE "/" "_" name ${folder})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS src/${folder}/*.cc)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS src/${folder}/*.h)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  if(NOT sources AND NOT headers AND NOT tests)
    return()
  endif()

  set(links penstock_flags ${arg_LIBS})
  foreach(lower IN LISTS arg_USES)
    string(REPLACE "/" "_" lower_name ${lower})
    if(TARGET penstock_${lower_name})
      list(APPEND links penstock_${lower_name})
    endif()
  endforeach()

  if(sources)
    add_library(penstock_${name} STATIC ${sources})
    target_link_libraries(penstock_${name} PUBLIC ${links})
    penstock_precompile(penstock_${name} libraries)
    # No test programs: each of their files may name its fixtures as it likes.
    set_target_properties(penstock_${name} PROPERTIES UNITY_BUILD ${PENSTOCK_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  else()
    add_library(penstock_${name} INTERFACE)
    target_link_libraries(penstock_${name} INTERFACE ${links})
  endif()

  if(tests)
    penstock_unit_tests(${name} ${tests})
  endif()
endfunction()

# Every folder of src/connect, in one declaration: they never use one another.
macro(penstock_connect_folders)
  file(GLOB penstock_connect_found LIST_DIRECTORIES true RELATIVE ${CMAKE_SOURCE_DIR}/src CONFIGURE_DEPENDS src/connect/*)
  foreach(penstock_connect IN LISTS penstock_connect_found)
    if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/src/${penstock_connect})
      penstock_folder(${penstock_connect} ${ARGN})
    endif()
  endforeach()
endmacro()

add_library(penstock_doctest_main OBJECT ${CMAKE_SOURCE_DIR}/cmake/doctest_main.cc)
target_include_directories(penstock_doctest_main SYSTEM PUBLIC ${DOCTEST_INCLUDE})
target_link_libraries(penstock_doctest_main PUBLIC penstock_flags)

# Compiled once for all libraries and once for all tests: GCC takes it where the flags and macros are the same.
if(PENSTOCK_PCH)
  # Without which ccache finds nothing again: GCC's and clang's.
  set(penstock_pch_flags -fpch-preprocess)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set(penstock_pch_flags "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/generated/nothing.cc "")
  foreach(kind IN ITEMS libraries tests)
    add_library(penstock_pch_${kind} OBJECT ${CMAKE_BINARY_DIR}/generated/nothing.cc)
    target_link_libraries(penstock_pch_${kind} PRIVATE penstock_flags)
    target_compile_options(penstock_pch_${kind} PRIVATE ${penstock_pch_flags})
    target_precompile_headers(penstock_pch_${kind} PRIVATE ${penstock_pch})
  endforeach()
  target_link_libraries(penstock_pch_tests PRIVATE penstock_doctest_main)
  target_precompile_headers(penstock_pch_tests PRIVATE <doctest/doctest.h>)
endif()

function(penstock_precompile target kind)
  if(PENSTOCK_PCH)
    target_precompile_headers(${target} REUSE_FROM penstock_pch_${kind})
    target_compile_options(${target} PRIVATE ${penstock_pch_flags})
  endif()
endfunction()

add_custom_target(unit_tests COMMENT "all unit test programs")

function(penstock_unit_tests name)
  if(name IN_LIST PENSTOCK_UNTESTED)
    return()
  endif()
  add_executable(${name}_tests ${ARGN})
  add_dependencies(unit_tests ${name}_tests)
  target_link_libraries(${name}_tests PRIVATE penstock_${name} penstock_doctest_main)
  penstock_precompile(${name}_tests tests)
  add_test(NAME ${name} COMMAND ${name}_tests WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set(suppressions ${CMAKE_SOURCE_DIR}/cmake/suppressions)
  # A sanitizer sees in a few hundred worlds what it would see in thousands, and takes twenty times as long for each.
  set(environment "")
  if(PENSTOCK_SANITIZE)
    set(environment "PENSTOCK_SIMULATION_SEEDS=500;")
  endif()
  # Arrow's allocator takes all of its locks around a fork, more than TSan's deadlock detector can count.
  # Tests that kill a writer fork one, whose engine starts threads of its own.
  set_tests_properties(${name} PROPERTIES TIMEOUT 600 LABELS unit ENVIRONMENT
    "${environment}TSAN_OPTIONS=ignore_noninstrumented_modules=1 die_after_fork=0 halt_on_error=1 detect_deadlocks=0 suppressions=${suppressions}/tsan.txt;LSAN_OPTIONS=suppressions=${suppressions}/lsan.txt;UBSAN_OPTIONS=print_stacktrace=1")
endfunction()

function(penstock_no_unknown_folders)
  file(GLOB found LIST_DIRECTORIES true RELATIVE ${CMAKE_SOURCE_DIR}/src CONFIGURE_DEPENDS src/*)
  foreach(folder IN LISTS found)
    if(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/src/${folder} AND NOT folder STREQUAL "connect" AND NOT folder IN_LIST penstock_known_folders)
      message(FATAL_ERROR "src/${folder} is not in the table of folders in CMakeLists.txt: add it on its layer")
    endif()
  endforeach()
endfunction()
