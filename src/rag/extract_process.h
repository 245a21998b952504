// One run of bulkhead-extract: start, feed, read, reap. Blocking; called on a pool thread.
//
// The child gets an empty environment, a process group of its own and three descriptors: its socket
// to us as standard input, its pipe to us as standard output, and the null device for errors. It is
// killed with its group and reaped before this returns, whatever happens. The answer is what the
// child wrote, not yet judged.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace bulkhead::rag {

struct ExtractRun {
  const std::filesystem::path& executable;
  std::string_view header;  // one JSON line, docs/extract-protocol.md
  std::string_view content;
  std::size_t answer_bytes_max;
  std::chrono::milliseconds time_max;
};

base::Result<std::string> run_extract_process(const ExtractRun& run, const base::CancelToken& cancel);

}  // namespace bulkhead::rag
