# The pinned llama.cpp, built by scripts/setup.sh into build/deps/llama/install.
set(LLAMA_ROOT ${CMAKE_SOURCE_DIR}/build/deps/llama/install CACHE PATH "Installed llama.cpp")
if(NOT EXISTS ${LLAMA_ROOT}/lib/libllama.a)
  message(FATAL_ERROR "llama.cpp is not built yet: run `make setup` first (looked in ${LLAMA_ROOT})")
endif()
add_library(llama_static INTERFACE)
target_include_directories(llama_static SYSTEM INTERFACE ${LLAMA_ROOT}/include)
target_link_libraries(llama_static INTERFACE
  ${LLAMA_ROOT}/lib/libllama-common.a ${LLAMA_ROOT}/lib/libllama-common-base.a
  ${LLAMA_ROOT}/lib/libcpp-httplib.a
  ${LLAMA_ROOT}/lib/libllama.a ${LLAMA_ROOT}/lib/libggml.a ${LLAMA_ROOT}/lib/libggml-cpu.a
  ${LLAMA_ROOT}/lib/libggml-base.a Threads::Threads ${CMAKE_DL_LIBS} m)
