# Installs libraries, public headers, the binary and the shipped zoo; find_package(kintsugi) after it.
include(CMakePackageConfigHelpers)

set(libraries kintsugi_flags kintsugi_engine kintsugi_autograd kintsugi_nn kintsugi_solvers kintsugi_zoo)
install(TARGETS ${libraries} EXPORT kintsugi-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

# Backends and JSON helpers stay at home: no third-party header is in an installed one.
foreach(room engine autograd nn solvers zoo)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kintsugi/${room}
    FILES_MATCHING PATTERN "*.h"
    REGEX "/engine/(cpu|cuda|ref)$" EXCLUDE
    PATTERN "dispatch.h" EXCLUDE
    PATTERN "loop.h" EXCLUDE
    PATTERN "visit.h" EXCLUDE
    REGEX "/solvers/dense$" EXCLUDE
    REGEX "/zoo/shipped$" EXCLUDE
    REGEX "/json\\.h$" EXCLUDE)
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/zoo/shipped/ DESTINATION ${CMAKE_INSTALL_DATADIR}/kintsugi)

install(EXPORT kintsugi-targets NAMESPACE kintsugi::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kintsugi)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/kintsugi-config.cmake.in
  ${PROJECT_BINARY_DIR}/kintsugi-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kintsugi)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kintsugi-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kintsugi-config.cmake
  ${PROJECT_BINARY_DIR}/kintsugi-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/kintsugi)
