# A layer is a folder with one library. Its headers are included as "folder/header.h", and that path exists only for
# targets that link the layer: each layer's include root is a folder under build/layers that holds a link to it alone
# (the same for every preset, so that ccache shares objects between them).
#
# Files of a target are compiled some at a time (CMAKE_UNITY_BUILD of the presets), for what they include takes longer to
# read than they do; those under ALONE are not, for others use the same private names.
#
#   einet_layer(NAME [PATH folder] [COMPUTES] SOURCES a.cpp … ALONE b.cpp … LINK public-libraries… PRIVATE_LINK …)
#                                               -> target einet_NAME; COMPUTES: tests spend their time in it
#   einet_program(NAME SOURCES … LINK …)        -> program NAME in bin/
#   einet_test(NAME SOURCES … ALONE … LINK …)   -> GoogleTest program test_NAME, its cases in ctest
#   einet_fuzzer(NAME SOURCES … LINK …)         -> libFuzzer program fuzz_NAME (asan preset only)
function(einet_include_root out folder)
  set(root "${CMAKE_SOURCE_DIR}/build/layers/${folder}")
  get_filename_component(parent "${root}/${folder}" DIRECTORY)
  file(MAKE_DIRECTORY "${parent}")
  file(CREATE_LINK "${CMAKE_SOURCE_DIR}/${folder}" "${root}/${folder}" SYMBOLIC)
  set(${out} "${root}" PARENT_SCOPE)
endfunction()

function(einet_layer name)
  cmake_parse_arguments(A "COMPUTES" "PATH" "SOURCES;ALONE;LINK;PRIVATE_LINK" ${ARGN})
  set_source_files_properties(${A_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(NOT A_PATH)
    set(A_PATH "${name}")
  endif()
  einet_include_root(root "${A_PATH}")
  add_library(einet_${name} STATIC ${A_SOURCES} ${A_ALONE})
  target_include_directories(einet_${name} PUBLIC "${root}")
  target_link_libraries(einet_${name} PUBLIC ${A_LINK} PRIVATE einet_flags ${A_PRIVATE_LINK})
  if(A_COMPUTES AND NOT EINET_SANITIZER STREQUAL "")
    target_compile_options(einet_${name} PRIVATE -Og)
  endif()
endfunction()

function(einet_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_include_directories(${name} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE einet_flags ${A_LINK})
endfunction()

function(einet_test name)
  cmake_parse_arguments(A "" "" "SOURCES;ALONE;LINK" ${ARGN})
  set_source_files_properties(${A_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  add_executable(test_${name} ${A_SOURCES} ${A_ALONE})
  target_include_directories(test_${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests/support")
  target_link_libraries(test_${name} PRIVATE einet_flags ${A_LINK} GTest::gmock GTest::gtest_main)
  if(EINET_SANITIZER STREQUAL "")
    target_compile_options(test_${name} PRIVATE -Og)  # the checks; what they check is compiled as it is shipped
  else()
    target_compile_definitions(test_${name} PRIVATE EINET_SANITIZED)
  endif()
  if(EINET_WITH_FUZZERS)
    target_compile_options(test_${name} PRIVATE -fno-sanitize=fuzzer-no-link)
  endif()
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}/" PROPERTIES TIMEOUT 300)
endfunction()

function(einet_fuzzer name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  if(EINET_WITH_FUZZERS)
    add_executable(fuzz_${name} ${A_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE einet_flags ${A_LINK} -fsanitize=fuzzer)
  endif()
endfunction()
