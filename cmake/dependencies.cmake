# Third-party libraries as imported targets. An Arrow or DuckDB that CMake finds installed wins over the pinned ones
# tools/bootstrap put into .deps. What Debian has as an archive is linked statically, so that a package carries few
# shared libraries.

if(DEFINED ENV{PENSTOCK_DEPS})
  set(penstock_deps_default $ENV{PENSTOCK_DEPS})
else()
  set(penstock_deps_default ${CMAKE_SOURCE_DIR}/.deps)
endif()
set(PENSTOCK_DEPS ${penstock_deps_default} CACHE PATH "Where tools/bootstrap put Arrow and DuckDB")

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL 7.85 REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(simdjson REQUIRED)
find_package(date REQUIRED)  # time zones, which this compiler's <chrono> has not

find_package(CLI11 QUIET)
if(NOT TARGET CLI11::CLI11)
  find_path(CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
  add_library(CLI11::CLI11 INTERFACE IMPORTED)
  set_target_properties(CLI11::CLI11 PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${CLI11_INCLUDE})
endif()

find_path(DOCTEST_INCLUDE doctest/doctest.h REQUIRED)

# Shared: it loads SASL mechanisms at run time.
find_library(RDKAFKA_FILE NAMES rdkafka REQUIRED)
find_path(RDKAFKA_INCLUDE librdkafka/rdkafka.h REQUIRED)
add_library(Kafka::rdkafka SHARED IMPORTED GLOBAL)
set_target_properties(Kafka::rdkafka PROPERTIES
  IMPORTED_LOCATION ${RDKAFKA_FILE} INTERFACE_INCLUDE_DIRECTORIES ${RDKAFKA_INCLUDE})

# SOCI comes without CMake files in Debian.
function(penstock_archive target archive)
  find_library(${target}_FILE NAMES ${archive} REQUIRED)
  add_library(${target} UNKNOWN IMPORTED)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_FILE})
endfunction()
penstock_archive(SOCI::core libsoci_core.a)
penstock_archive(SOCI::sqlite3 libsoci_sqlite3.a)
penstock_archive(SOCI::mysql libsoci_mysql.a)
penstock_archive(SOCI::postgresql libsoci_postgresql.a)
penstock_archive(SQLite::archive libsqlite3.a)
find_path(SOCI_INCLUDE soci/soci.h REQUIRED)
target_include_directories(SOCI::core INTERFACE ${SOCI_INCLUDE})
target_link_libraries(SOCI::core INTERFACE ${CMAKE_DL_LIBS} Threads::Threads)
target_link_libraries(SOCI::sqlite3 INTERFACE SOCI::core SQLite::archive m)
# Libraries only: the headers of the servers' clients are for src/state alone (CMakeLists.txt).
target_link_libraries(SOCI::postgresql INTERFACE SOCI::core ${PostgreSQL_LIBRARIES})
# Shared: it loads ways of authentication at run time.
find_library(MARIADB_FILE NAMES mariadb REQUIRED)
find_path(MARIADB_INCLUDE mysql.h PATH_SUFFIXES mariadb REQUIRED)
add_library(MariaDB::client SHARED IMPORTED GLOBAL)
set_target_properties(MariaDB::client PROPERTIES IMPORTED_LOCATION ${MARIADB_FILE})
target_link_libraries(SOCI::mysql INTERFACE SOCI::core MariaDB::client)

penstock_archive(MaxMind::db libmaxminddb.a)

# yaml-cpp's archive lies beside its shared library, which its own target prefers.
find_library(YAML_CPP_ARCHIVE NAMES libyaml-cpp.a)
if(YAML_CPP_ARCHIVE)
  add_library(penstock_yaml UNKNOWN IMPORTED)
  set_target_properties(penstock_yaml PROPERTIES IMPORTED_LOCATION ${YAML_CPP_ARCHIVE})
else()
  add_library(penstock_yaml ALIAS yaml-cpp)
endif()

function(penstock_pinned target folder library header version)
  find_library(${target}_PINNED NAMES ${library} PATHS ${PENSTOCK_DEPS}/${folder}/lib NO_DEFAULT_PATH)
  if(NOT ${target}_PINNED OR NOT EXISTS ${PENSTOCK_DEPS}/${folder}/include/${header})
    message(FATAL_ERROR "${target} is neither installed nor in ${PENSTOCK_DEPS}: run tools/bootstrap (make does)")
  endif()
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${${target}_PINNED}
    INTERFACE_INCLUDE_DIRECTORIES ${PENSTOCK_DEPS}/${folder}/include)
  message(STATUS "${target}: ${version}, ${${target}_PINNED}")
endfunction()

# Never libparquet or libarrow_flight of the wheel: they export OpenSSL's and gRPC's symbols over the system's.
find_package(Arrow 20 CONFIG QUIET)
if(TARGET Arrow::arrow_shared)
  add_library(Arrow::arrow ALIAS Arrow::arrow_shared)
  message(STATUS "Arrow::arrow: installed, ${Arrow_VERSION}")
else()
  penstock_pinned(Arrow::arrow arrow libarrow.so.2600 arrow/api.h 26.0.1)
  set(penstock_arrow_pinned ON)
endif()

find_package(DuckDB CONFIG QUIET)
find_library(DUCKDB_INSTALLED duckdb)
find_path(DUCKDB_INSTALLED_INCLUDE duckdb.h)
if(TARGET duckdb)
  add_library(DuckDB::duckdb ALIAS duckdb)
  message(STATUS "DuckDB::duckdb: installed, ${DuckDB_VERSION}")
elseif(DUCKDB_INSTALLED AND DUCKDB_INSTALLED_INCLUDE)
  # The project's own archive brings no CMake files.
  add_library(DuckDB::duckdb SHARED IMPORTED GLOBAL)
  set_target_properties(DuckDB::duckdb PROPERTIES
    IMPORTED_LOCATION ${DUCKDB_INSTALLED} INTERFACE_INCLUDE_DIRECTORIES ${DUCKDB_INSTALLED_INCLUDE})
  message(STATUS "DuckDB::duckdb: installed, ${DUCKDB_INSTALLED}")
else()
  penstock_pinned(DuckDB::duckdb duckdb libduckdb.so duckdb.h 1.5.5)
  set(penstock_duckdb_pinned ON)
endif()
