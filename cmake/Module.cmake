# ebb_module(name [LINK lib...] SOURCES file...): one static library a folder.
function(ebb_module name)
  cmake_parse_arguments(M "" "" "LINK;SOURCES" ${ARGN})
  if(NOT M_SOURCES)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${M_LINK})
    return()
  endif()
  add_library(${name} STATIC ${M_SOURCES})
  target_link_libraries(${name} PUBLIC ${M_LINK} PRIVATE ebb_flags)
endfunction()

# ebb_unit_test(name [LINK lib...] SOURCES file...): a cmocka program, run by ctest with label
# "unit".
function(ebb_unit_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "LINK;SOURCES" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE ${T_LINK} PkgConfig::CMOCKA ebb_flags)
  target_compile_definitions(${name} PRIVATE EBB_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             EBB_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME unit/${name} COMMAND ${name})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT ${T_TIMEOUT})
endfunction()
