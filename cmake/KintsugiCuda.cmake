# Whether the CUDA backend is built: KINTSUGI_HAVE_CUDA. cudart is linked in; cuBLAS is loaded when a
# device is first used, so that no command needs it otherwise.
set(KINTSUGI_HAVE_CUDA OFF)
if(KINTSUGI_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(KINTSUGI_HAVE_CUDA ON)
  endif()
elseif(KINTSUGI_CUDA)
  set(KINTSUGI_HAVE_CUDA ON)
endif()
if(NOT KINTSUGI_HAVE_CUDA)
  return()
endif()

# sm_90a has wgmma and TMA, which no PTX for a later card carries; that PTX is of sm_80.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90a-real)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
# CMake before 3.26 does not know that nvcc speaks C++20.
foreach(kind STANDARD EXTENSION)
  if(NOT CMAKE_CUDA20_${kind}_COMPILE_OPTION)
    set(CMAKE_CUDA20_${kind}_COMPILE_OPTION -std=c++20)
  endif()
endforeach()

function(kintsugi_cuda target)
  set_target_properties(${target} PROPERTIES CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON)
  target_compile_definitions(${target} PRIVATE KINTSUGI_HAVE_CUDA=1
    KINTSUGI_CUDA_LIBRARIES="${CUDAToolkit_LIBRARY_DIR}")
  if(KINTSUGI_CUDA_STRICT)
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>)
  endif()
  target_link_libraries(${target} PRIVATE CUDA::cudart_static ${CMAKE_DL_LIBS})
  target_include_directories(${target} PRIVATE $<BUILD_INTERFACE:${CUDAToolkit_INCLUDE_DIRS}>)
endfunction()
