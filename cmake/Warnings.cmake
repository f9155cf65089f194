add_library(ebb_flags INTERFACE)
target_include_directories(ebb_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_definitions(ebb_flags INTERFACE _GNU_SOURCE EBB_VERSION="${PROJECT_VERSION}")
target_compile_options(ebb_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wformat=2
  -Wundef -Wvla -Wwrite-strings -Wold-style-definition -Wnull-dereference
  -fno-strict-aliasing -fno-omit-frame-pointer)
if(EBB_WERROR)
  target_compile_options(ebb_flags INTERFACE -Werror)
endif()
if(EBB_SANITIZE)
  target_compile_options(ebb_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(ebb_flags INTERFACE -fsanitize=address,undefined)
endif()
if(EBB_FUZZ)
  target_compile_options(ebb_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined)
  target_link_options(ebb_flags INTERFACE -fsanitize=address,undefined)
endif()
