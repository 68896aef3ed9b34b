# Language level, warnings, optimisation, sanitizers, ccache: everything that is the same for every target of ours.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# -g1 keeps stack traces and halves object size; assertions on invariants are ours (config/check.h), never NDEBUG's.
# Sanitizers look at what the code does, not at how fast: optimising what they add takes three times the building (and
# with g++ not even -O0 takes less than -Og).
if(EINET_SANITIZER STREQUAL "")
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Og -g1")
else()
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O0 -g1")
endif()

# Objects are shared between the presets (full compiles what runtime does): paths below the source folder are relative
# for ccache. Not between clones: files compiled together are named in full.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=true
    CCACHE_ABSSTDERR=true CCACHE_DEPEND=true "${CCACHE}")
endif()

add_library(einet_flags INTERFACE)
target_compile_options(einet_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-qual -Wformat=2 -Werror -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives of g++ 12's middle end on std::string and std::variant.
  target_compile_options(einet_flags INTERFACE -Wno-restrict -Wno-maybe-uninitialized -Wno-array-bounds
    -Wno-stringop-overflow -Wno-stringop-overread)
endif()

if(EINET_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(EINET_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # TSan does not model fences; where a fence matters, the tests of ipc/lane prove it with a negative control.
    add_compile_options(-Wno-tsan)
  endif()
elseif(NOT EINET_SANITIZER STREQUAL "")
  message(FATAL_ERROR "EINET_SANITIZER is \"${EINET_SANITIZER}\"; allowed: empty, address, thread")
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_link_options(-fuse-ld=lld)  # a fifth of ld's time with what sanitizers add
endif()
if(EINET_WITH_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "EINET_WITH_FUZZERS needs clang (found ${CMAKE_CXX_COMPILER_ID}); use: cmake --preset asan")
endif()
if(EINET_WITH_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)  # libFuzzer steers by the branches that were taken
endif()
