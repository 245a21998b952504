// A streamed generation over HTTP, the common part of the worker and of external servers.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/stream_reader.h"
#include "http/client.h"
#include "http/sse.h"

namespace bulkhead::engine {

// Errors of the connection as the engine's own.
base::Error transport_error(const base::Error& error);

class HttpChatStream final : public ChatStream {
 public:
  HttpChatStream(std::unique_ptr<http::StreamedResponse> response, std::size_t choices, bool raw_prompt)
      : response_(std::move(response)), reader_(choices, raw_prompt) {}

  base::Task<base::Result<std::optional<Piece>>> next() override;
  bool buffered() const override { return reader_.has_piece(); }
  const Completion& result() const override { return reader_.result(); }

 private:
  std::unique_ptr<http::StreamedResponse> response_;
  // A whole answer with its log probabilities is one event.
  static constexpr std::size_t kEventBytesMax = 8u << 20;
  http::SseParser parser_{kEventBytesMax};
  wire::StreamReader reader_;
};

}  // namespace bulkhead::engine
