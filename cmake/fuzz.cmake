# libFuzzer programs in build-fuzz/fuzz; `fuzzers` builds them and no more. Corpora lie in fuzz/corpus/<name>.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "the fuzzers need clang 19 or newer: tools/bootstrap clang, then cmake --preset fuzz")
endif()

add_custom_target(fuzzers)

# penstock_fuzzer(config penstock_config): fuzz/config_fuzz.cc, linked to what it feeds.
function(penstock_fuzzer name)
  add_executable(fuzz_${name} ${CMAKE_SOURCE_DIR}/fuzz/${name}_fuzz.cc)
  set_target_properties(fuzz_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_link_libraries(fuzz_${name} PRIVATE ${ARGN})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers fuzz_${name})
endfunction()

penstock_fuzzer(config penstock_config)
penstock_fuzzer(copy_decoder penstock_connect_postgres)
penstock_fuzzer(pgoutput penstock_connect_postgres)
penstock_fuzzer(text_wire penstock_connect_postgres)
penstock_fuzzer(wal2json penstock_connect_postgres)
penstock_fuzzer(debezium penstock_transform)
penstock_fuzzer(events penstock_transform)
penstock_fuzzer(archive penstock_transform)
penstock_fuzzer(payload penstock_transform)
penstock_fuzzer(objects penstock_connect_parquet)
