// StreamReader: the events of one streamed generation, turned into pieces. Tool calls, which engines send
// in fragments, are put together and given out whole when their choice ends. Counts tokens as they come, so
// that `result` has a usage at any time. One stream, one thread. Errors: EngineError::BadAnswer. Bounded:
// choices, calls and their bytes.
#pragma once

#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"

namespace bulkhead::engine::wire {

class StreamReader {
 public:
  StreamReader(std::size_t choices, bool raw_prompt);
  // One event's payload; "[DONE]" ends the stream.
  base::Result<void> feed(std::string_view event);
  std::optional<Piece> next();
  bool has_piece() const { return !pieces_.empty(); }
  bool done() const { return done_; }
  const Completion& result() const { return result_; }

 private:
  base::Result<void> read_choice(const base::json::Value& choice, bool& content);
  base::Result<void> read_call_fragments(const base::json::Value& list, std::vector<ToolCall>& calls);
  void give_out_calls(std::size_t choice);

  void count(bool content, std::optional<Usage> told);

  bool raw_prompt_;
  bool done_ = false;
  std::size_t call_bytes_ = 0;
  std::size_t text_bytes_ = 0;
  std::int64_t counted_ = 0;   // events with content: at least a token each
  std::optional<Usage> told_;  // by the engine, with the events since
  Completion result_;
  std::vector<std::vector<ToolCall>> calls_;  // by choice, not given out yet
  std::deque<Piece> pieces_;
};

}  // namespace bulkhead::engine::wire
