#include "engine/http_chat_stream.h"

namespace bulkhead::engine {

using base::Error;
using base::Result;
using base::Task;

Error transport_error(const Error& error) {
  if (error.is(http::HttpError::Cancelled)) {
    return Error(EngineError::Cancelled, "The request was cancelled.", error.describe());
  }
  if (error.is(http::HttpError::ConnectFailed) || error.is(http::HttpError::TlsFailed)) {
    return Error(EngineError::Unavailable, "The model is not available just now. Try again shortly.",
                 error.describe());
  }
  if (error.is(http::HttpError::Timeout)) {
    return Error(EngineError::TimedOut, "The model engine took too long. Try again.", error.describe());
  }
  return Error(EngineError::Failed, "The model engine failed on this request. Try again.", error.describe());
}

Task<Result<std::optional<Piece>>> HttpChatStream::next() {
  while (true) {
    if (auto piece = reader_.next()) co_return std::optional<Piece>(std::move(piece));
    if (reader_.done()) co_return std::optional<Piece>();
    auto bytes = co_await response_->read();
    if (!bytes) co_return transport_error(bytes.error());
    if (!*bytes) {
      co_return Error(EngineError::Failed, "The model engine stopped in the middle of the answer.",
                      "stream ended without [DONE]");
    }
    if (auto fed = parser_.feed(**bytes); !fed) co_return transport_error(fed.error());
    while (auto event = reader_.done() ? std::nullopt : parser_.next()) {
      BULKHEAD_CO_CHECK_OK(reader_.feed(*event));
    }
  }
}

}  // namespace bulkhead::engine
