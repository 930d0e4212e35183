# cmake -DROOT= -DBUILD= -DWORK= -P run.cmake: installs, then builds and runs the README's program
# against what was installed.
function(must)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

# The README shows the example as it is.
file(READ ${ROOT}/README.md readme)
file(READ ${ROOT}/apps/examples/embed.cpp embed)
string(FIND "${readme}" "${embed}" at)
if(at EQUAL -1)
  message(FATAL_ERROR "README.md does not show apps/examples/embed.cpp as it is")
endif()

file(REMOVE_RECURSE ${WORK})
must(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
must(${CMAKE_COMMAND} -S ${ROOT}/tests/install -B ${WORK}/build -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_PREFIX_PATH=${WORK}/prefix -DEMBED=${ROOT}/apps/examples/embed.cpp "-DCMAKE_CXX_FLAGS=${FLAGS}")
must(${CMAKE_COMMAND} --build ${WORK}/build)
file(GLOB weights ${WORK}/prefix/share/kintsugi/*.safetensors)
if(NOT weights)
  message(FATAL_ERROR "no weights were installed")
endif()
list(GET weights 0 first)
must(${WORK}/build/consumer ${first})
if(NOT output MATCHES "parameters")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()
file(REMOVE_RECURSE ${WORK})
