// The extractor's sandbox: no file, no socket, no process, no signal to others, no executable memory,
// bounded memory and CPU time; entered before the first byte of a document is parsed.
//
// One way: nothing leaves it but the process's end. A refused call answers EPERM, so that a library
// that looks for a font goes on without; a call that only an attacker makes kills the process.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace bulkhead::extract {

struct SandboxLimits {
  std::size_t memory_bytes_max = 1u << 30;
  int reading_seconds_max = 20;  // processor seconds, without the recognition of pages
  int seconds_max = 20;          // with it
};
base::Result<void> enter_sandbox(const SandboxLimits& limits);

// While one lives, the time that is spent counts as recognition of a page, which has bounds of its own
// (ocr.h), and not as reading: so that a document that keeps a parser busy ends soon, however long its pages
// might be recognised. A page that takes longer than `seconds_max`, whatever it does, ends the process as a
// parser would.
class ReadingClockPause {
 public:
  explicit ReadingClockPause(int seconds_max);
  ~ReadingClockPause();
  ReadingClockPause(const ReadingClockPause&) = delete;

 private:
  long long micros_left_ = 0;
};

}  // namespace bulkhead::extract
