# Every room is one static library, built from all its sources: adding a file edits no list.

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)

# The tree is included as it is installed: <kintsugi/engine/core/tensor.h>.
set(KINTSUGI_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${KINTSUGI_INCLUDE_DIR})
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${KINTSUGI_INCLUDE_DIR}/kintsugi SYMBOLIC)

add_library(kintsugi_flags INTERFACE)
target_compile_features(kintsugi_flags INTERFACE cxx_std_20)
target_compile_options(kintsugi_flags INTERFACE
  $<BUILD_INTERFACE:$<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-Wall;-Wextra>>
  # False positives of GCC 12 in its own std::string (its bug 105329).
  $<BUILD_INTERFACE:$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>>)
target_include_directories(kintsugi_flags INTERFACE
  $<BUILD_INTERFACE:${KINTSUGI_INCLUDE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

# kintsugi_room(NAME [EXCLUDE regex...]): the library of the room in the current folder.
function(kintsugi_room name)
  cmake_parse_arguments(ARG "" "" "EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(pattern IN LISTS ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  add_library(kintsugi_${name} STATIC ${sources})
  add_library(kintsugi::${name} ALIAS kintsugi_${name})
  set_target_properties(kintsugi_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(kintsugi_${name} PUBLIC kintsugi_flags)
endfunction()

# kintsugi_simd(TARGET sources...): each source is compiled once per instruction set, in a namespace of
# that name (KINTSUGI_ISA); engine/cpu/isa.h picks one at run time. Such files include no header
# with inline functions of the standard library: the linker could keep the AVX-512 copy of one.
function(kintsugi_simd target)
  set(isas baseline)
  set(flags_baseline "")
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND isas avx2 avx512)
    set(flags_avx2 -mavx2 -mfma -mf16c)
    set(flags_avx512 -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mf16c -mprefer-vector-width=512)
    target_compile_definitions(${target} PRIVATE KINTSUGI_X86_64=1)
    set(x86_definition KINTSUGI_X86_64=1)
  endif()
  foreach(isa IN LISTS isas)
    add_library(${target}_${isa} OBJECT ${ARGN})
    target_link_libraries(${target}_${isa} PRIVATE kintsugi_flags)
    target_compile_definitions(${target}_${isa} PRIVATE KINTSUGI_ISA=${isa} ${x86_definition})
    target_compile_options(${target}_${isa} PRIVATE -O3 -fno-math-errno -fno-trapping-math ${flags_${isa}})
    set_target_properties(${target}_${isa} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
  endforeach()
endfunction()
