// What a process's libraries, and its child processes, write to standard error: kept out of our own log.
//
// Libraries print what they were given, and that may be a user's text. So standard error of the gateway leads
// into a pipe whose contents are counted and dropped, while base/log.h goes on writing to the real one
// (`OutputCapture`). A child's standard error is read by us (`LogRelay`): only lines that have the form of
// our own log come through, member by member, their texts cut to printable ASCII and a bound; the rest is
// counted and dropped as well.
//
// Both read on a thread of their own, in bounded memory. Thread safety: none of an object; foreign_bytes()
// from every thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"

namespace bulkhead::base {

// Bytes that were dropped in this process so far.
std::uint64_t foreign_bytes();

class OutputCapture {
 public:
  // From now on, until destruction, standard error leads into the pipe. `show`: what comes is not dropped but
  // logged, cleaned (event foreign_output); for development.
  static Result<std::unique_ptr<OutputCapture>> start(bool show);
  ~OutputCapture();
  OutputCapture(const OutputCapture&) = delete;

 private:
  OutputCapture(int real, int read_end, int stop, bool show);
  void run();

  const int real_, read_end_, stop_;
  const bool show_;
  std::thread thread_;
};

class LogRelay {
 public:
  // Makes the pipe. `component` is what the lines are said to come from, whatever they say themselves.
  static Result<std::unique_ptr<LogRelay>> open(std::string component);
  // Waits for the child's end to be closed by everybody who has it.
  ~LogRelay();
  LogRelay(const LogRelay&) = delete;

  // The child's end, for its standard error; close-on-exec.
  int child_end() const { return child_end_; }
  // Call once the child has its copy: closes ours and begins to read.
  void begin();

 private:
  LogRelay(std::string component, int read_end, int child_end);
  void run();

  const std::string component_;
  const int read_end_;
  int child_end_;
  std::thread thread_;
};

// Writes one line of a child's log to ours if it has the form, and says whether it did.
bool relay_line(std::string_view component, std::string_view line);

}  // namespace bulkhead::base
