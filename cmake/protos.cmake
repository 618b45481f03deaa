# gRPC, and stubs of those of Google's services that Penstock calls: one library, compiled once. A service more is a line
# in `penstock_services` (and its folder in tools/bootstrap's `protos_folders`).

find_program(PENSTOCK_PROTOC protoc REQUIRED)
find_program(PENSTOCK_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)

# ---- gRPC and protobuf: Debian's archives, so that a package carries none of their hundred shared libraries
find_library(GRPC_ARCHIVE NAMES libgrpc++.a)
if(GRPC_ARCHIVE)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(penstock_grpc REQUIRED QUIET grpc++ protobuf)
  set(archives "")
  set(others "")
  foreach(name IN LISTS penstock_grpc_STATIC_LIBRARIES)
    find_library(PENSTOCK_ARCHIVE_${name} NAMES lib${name}.a)
    # What belongs to the system, or to other libraries of ours as well, is shared.
    if(name MATCHES "^(ssl|crypto|dl|rt|m|pthread|atomic)$" OR NOT PENSTOCK_ARCHIVE_${name})
      list(APPEND others ${name})
    else()
      list(APPEND archives ${PENSTOCK_ARCHIVE_${name}})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES archives)
  list(REMOVE_ITEM others ssl crypto pthread)
  list(REMOVE_DUPLICATES others)
  list(JOIN archives "," group)
  add_library(penstock_grpc INTERFACE)
  target_link_libraries(penstock_grpc INTERFACE "$<LINK_GROUP:RESCAN,${group}>" OpenSSL::SSL OpenSSL::Crypto
    Threads::Threads ${others})
else()
  find_package(gRPC CONFIG REQUIRED)
  add_library(penstock_grpc ALIAS gRPC::grpc++)
endif()

# ---- stubs
set(bigquery_storage google/cloud/bigquery/storage/v1)
set(penstock_services google/pubsub/v1/pubsub ${bigquery_storage}/storage)
set(penstock_messages google/pubsub/v1/schema google/api/annotations google/api/client google/api/field_behavior
  google/api/http google/api/launch_stage google/api/resource google/rpc/error_details google/rpc/status)
foreach(message IN ITEMS annotations arrow avro protobuf stream table)
  list(APPEND penstock_messages ${bigquery_storage}/${message})
endforeach()

set(protos ${PENSTOCK_DEPS}/protos)
foreach(proto IN LISTS penstock_services)
  if(NOT EXISTS ${protos}/${proto}.proto)
    message(FATAL_ERROR "${protos} lacks API definitions: run tools/bootstrap (make does)")
  endif()
endforeach()
set(generated ${CMAKE_BINARY_DIR}/generated/protos)
file(MAKE_DIRECTORY ${generated})
set(sources "")
foreach(proto IN LISTS penstock_services penstock_messages)
  set(outputs ${generated}/${proto}.pb.cc ${generated}/${proto}.pb.h)
  set(arguments --cpp_out=${generated})
  if(proto IN_LIST penstock_services)
    list(APPEND outputs ${generated}/${proto}.grpc.pb.cc ${generated}/${proto}.grpc.pb.h)
    list(APPEND arguments --grpc_out=${generated} --plugin=protoc-gen-grpc=${PENSTOCK_GRPC_PLUGIN})
  endif()
  add_custom_command(OUTPUT ${outputs}
    COMMAND ${PENSTOCK_PROTOC} -I ${protos} ${arguments} ${protos}/${proto}.proto
    DEPENDS ${protos}/${proto}.proto COMMENT "stubs of ${proto}")
  list(APPEND sources ${outputs})
endforeach()

add_library(penstock_protos STATIC ${sources})
target_include_directories(penstock_protos SYSTEM PUBLIC ${generated})
target_link_libraries(penstock_protos PUBLIC penstock_grpc)
target_compile_options(penstock_protos PRIVATE -w -g0)
