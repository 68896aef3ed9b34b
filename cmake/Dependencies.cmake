# Every library that is not ours, in one place. Versions: DEPENDENCIES in tools/setup.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS system)
find_package(Protobuf REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Eigen3 3.4 REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json 3 REQUIRED)
find_package(OpenSSL REQUIRED)  # libcrypto only: SHA-256 of package files
find_package(GTest REQUIRED)
include(GoogleTest)
find_package(benchmark REQUIRED)
find_package(rapidcheck REQUIRED)
find_package(PNG REQUIRED)
find_package(ZLIB REQUIRED)
find_package(zstd REQUIRED)  # compressed profiles
# stb_easy_font: the letters of plots.
find_path(STB_ROOT stb_easy_font.h PATH_SUFFIXES stb REQUIRED)
add_library(einet_stb INTERFACE)
target_include_directories(einet_stb SYSTEM INTERFACE "${STB_ROOT}")
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)

# oneDNN (CPU, GNU OpenMP). Target: einet_dnnl.
if(EINET_WITH_ONEDNN)
  find_package(dnnl 3 CONFIG REQUIRED HINTS "${EINET_DEPS}/onednn")
  add_library(einet_dnnl INTERFACE)
  target_link_libraries(einet_dnnl INTERFACE DNNL::dnnl)
endif()

# LibTorch, as an imported target of our own: the wheel's CMake package needs a CUDA toolkit, these libraries do not.
if(EINET_WITH_TORCH)
  file(GLOB torch_roots "${EINET_DEPS}/torch/lib/python3*/site-packages/torch")
  find_path(TORCH_ROOT include/torch/csrc/api/include/torch/torch.h HINTS ${torch_roots} REQUIRED NO_CACHE)
  add_library(einet_torch_lib INTERFACE)
  target_include_directories(einet_torch_lib SYSTEM INTERFACE
    "${TORCH_ROOT}/include" "${TORCH_ROOT}/include/torch/csrc/api/include")
  target_link_directories(einet_torch_lib INTERFACE "${TORCH_ROOT}/lib")
  # The wheel's libtorch.so exports half of std::filesystem, which crashes for whoever is bound to it: ours comes first.
  target_link_libraries(einet_torch_lib INTERFACE stdc++
    "${TORCH_ROOT}/lib/libtorch.so" "${TORCH_ROOT}/lib/libtorch_cpu.so" "${TORCH_ROOT}/lib/libc10.so" Threads::Threads)
  target_link_options(einet_torch_lib INTERFACE "-Wl,-rpath,${TORCH_ROOT}/lib" "-Wl,--disable-new-dtags")
  # Its CUDA part, for libeinet_cuda.so alone. The runtime's headers come with the wheel, or from a toolkit.
  find_library(TORCH_CUDA torch_cuda HINTS "${TORCH_ROOT}/lib" NO_CACHE NO_DEFAULT_PATH)
  find_path(CUDA_HEADERS cuda_runtime_api.h HINTS "${TORCH_ROOT}/../nvidia/cu13/include" /usr/local/cuda/include NO_CACHE)
  if(TORCH_CUDA AND CUDA_HEADERS)
    set(CMAKE_BUILD_RPATH "$ORIGIN")  # where programs find it
    add_library(einet_torch_cuda_lib INTERFACE)
    target_include_directories(einet_torch_cuda_lib SYSTEM INTERFACE "${CUDA_HEADERS}")
    target_link_libraries(einet_torch_cuda_lib INTERFACE "${TORCH_CUDA}" "${TORCH_ROOT}/lib/libc10_cuda.so")
    file(GLOB nvcc_roots "${EINET_DEPS}/nvcc/lib/python3*/site-packages/nvidia/cu13/bin")
    find_program(NVCC nvcc HINTS ${nvcc_roots} /usr/local/cuda/bin NO_CACHE)
    if(NOT NVCC)
      message(STATUS "exits on CUDA end with LibTorch's softmax instead of one kernel of ours: nvcc is nowhere")
    endif()
  else()
    message(STATUS "no lanes and no training on CUDA: this LibTorch has no libtorch_cuda, or cuda_runtime_api.h is nowhere")
  endif()
endif()
