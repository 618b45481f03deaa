# A folder that runs from anywhere: bin/penstock finds its libraries in ../lib/penstock. They have a folder of their
# own so that an installed Penstock never offers its Arrow or DuckDB to other programs.

set(private_libraries lib/penstock)
set(documents share/doc/penstock)
set_target_properties(penstock PROPERTIES INSTALL_RPATH "$ORIGIN/../${private_libraries}")

install(TARGETS penstock RUNTIME DESTINATION bin)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${documents})
foreach(page IN ITEMS README.md CHANGELOG.md)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${page})
    install(FILES ${CMAKE_SOURCE_DIR}/${page} DESTINATION ${documents})
  endif()
endforeach()

# As a plain file under the name the program asks for (its SONAME), if it does ask for it.
function(penstock_install_library target)
  get_target_property(aliased ${target} ALIASED_TARGET)
  if(aliased)
    set(target ${aliased})
  endif()
  install(CODE "
    file(REAL_PATH \"$<TARGET_FILE:${target}>\" file)
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p \"\${file}\" OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCH \"SONAME +([^ \\n]+)\" found \"\${headers}\")
    set(name \"\${CMAKE_MATCH_1}\")
    execute_process(COMMAND ${CMAKE_OBJDUMP} -p \"$<TARGET_FILE:penstock>\" OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
    string(FIND \"\${headers}\" \" \${name}\\n\" needed)
    if(NOT needed EQUAL -1)
      file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${private_libraries}\" TYPE FILE RENAME \"\${name}\" FILES \"\${file}\")
    endif()")
endfunction()
penstock_install_library(Arrow::arrow)
penstock_install_library(DuckDB::duckdb)
penstock_install_library(date::date-tz)
penstock_install_library(fmt::fmt)
penstock_install_library(Kafka::rdkafka)
penstock_install_library(MariaDB::client)
penstock_install_library(simdjson::simdjson)

# Licences of all that is linked in or shipped beside. Debian keeps them by package, the pinned ones bring their own.
foreach(package IN ITEMS libfmt-dev libspdlog-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libboost1.81-dev libvalijson-dev libsoci-dev libsqlite3-dev
  libgrpc-dev libprotobuf-dev libabsl-dev libre2-dev libc-ares-dev zlib1g-dev librdkafka1 libsimdjson-dev libmariadb3 libdate-tz3 libmaxminddb-dev)
  if(EXISTS /usr/share/doc/${package}/copyright)
    install(FILES /usr/share/doc/${package}/copyright DESTINATION ${documents}/licenses RENAME ${package}.txt)
  else()
    message(WARNING "no licence file for ${package}: do not distribute this build")
  endif()
endforeach()
install(DIRECTORY ${PENSTOCK_DEPS}/protos/licenses/ DESTINATION ${documents}/licenses/google-proto-files)
install(DIRECTORY ${PENSTOCK_DEPS}/otlp/licenses/ DESTINATION ${documents}/licenses/opentelemetry-proto)
foreach(pinned IN ITEMS arrow duckdb)
  if(penstock_${pinned}_pinned)
    install(DIRECTORY ${PENSTOCK_DEPS}/${pinned}/licenses/ DESTINATION ${documents}/licenses/${pinned})
  endif()
endforeach()

# The manual page and the completions are written by the program itself.
install(CODE "
  function(written_by_penstock file)
    execute_process(COMMAND \"$<TARGET_FILE:penstock>\" \${ARGN} OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
    file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/\${file}\" \"\${text}\")
  endfunction()
  written_by_penstock(share/man/man1/penstock.1 --man)
  written_by_penstock(share/bash-completion/completions/penstock completion bash)
  written_by_penstock(share/zsh/site-functions/_penstock completion zsh)
  written_by_penstock(share/fish/vendor_completions.d/penstock.fish completion fish)")
