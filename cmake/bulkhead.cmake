# One static library per folder of src/, one test executable per folder of tests/unit/.

# What the sanitizers' runtime must know of libraries that are not ours.
set(BULKHEAD_SANITIZER_DEFAULTS "")
if(BULKHEAD_SANITIZE MATCHES "thread")
  set(BULKHEAD_SANITIZER_DEFAULTS ${CMAKE_SOURCE_DIR}/scripts/check/sanitizers/tsan_defaults.cc)
endif()

# bulkhead_module(NAME [DEPS module...] [LIBS target...])
# Builds libbulkhead_NAME.a from src/NAME/*.cc, and test_NAME from tests/unit/NAME/*.cc.
# A folder without sources yet becomes an interface library, so that modules can land one by one.
function(bulkhead_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  # Interposes malloc; belongs to executables, never to a library (see bulkhead_executable).
  list(FILTER sources EXCLUDE REGEX "/scrub_heap\\.cc$")
  list(TRANSFORM ARG_DEPS PREPEND bulkhead_)
  if(sources)
    add_library(bulkhead_${name} STATIC ${sources})
    target_include_directories(bulkhead_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(bulkhead_${name} PUBLIC ${ARG_DEPS} ${ARG_LIBS})
  else()
    add_library(bulkhead_${name} INTERFACE)
    target_include_directories(bulkhead_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(bulkhead_${name} INTERFACE ${ARG_DEPS} ${ARG_LIBS})
  endif()
  bulkhead_unit_test(${name} bulkhead_${name})
endfunction()

# bulkhead_unit_test(NAME LIB...) : test_NAME from tests/unit/NAME/*.cc, registered with ctest.
function(bulkhead_unit_test name)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${name}/*.cc)
  if(tests)
    add_executable(test_${name} ${tests} ${BULKHEAD_SANITIZER_DEFAULTS})
    target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit)
    target_link_libraries(test_${name} PRIVATE ${ARGN} GTest::gtest GTest::gtest_main)
    target_compile_definitions(test_${name} PRIVATE
      BULKHEAD_SOURCE_DIR="${CMAKE_SOURCE_DIR}" BULKHEAD_BINARY_DIR="${CMAKE_BINARY_DIR}")
    # One ctest entry per executable keeps the suite quick; gtest prints the single tests.
    add_test(NAME unit.${name} COMMAND test_${name})
    set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300)
  endif()
endfunction()

# bulkhead_executable(NAME SOURCES file... LIBS target...)
# An executable that wipes every heap block as it is freed (base/scrub_heap.cc). Sanitizers bring
# an allocator of their own, so there the wiping allocator is left out.
function(bulkhead_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} ${BULKHEAD_SANITIZER_DEFAULTS})
  if(NOT BULKHEAD_SANITIZE AND NOT BULKHEAD_FUZZ)
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src/base/scrub_heap.cc)
  endif()
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
