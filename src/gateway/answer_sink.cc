#include "gateway/answer_sink.h"

#include <algorithm>

#include "gateway/api_error.h"
#include "gateway/event_writer.h"

namespace bulkhead::gateway {

using base::Error;
using base::Result;
using base::Task;

namespace {

class WholeSink final : public AnswerSink {
 public:
  explicit WholeSink(Outcome& outcome) : outcome_(outcome) {}
  Task<Result<void>> begin() override { co_return Result<void>(); }
  Task<Result<void>> take(engine::ChatStream&, engine::Piece piece) override {
    co_return outcome_.add(piece);
  }
  HandlerResult finish(std::string body) override { co_return Reply::json(200, std::move(body)); }
  HandlerResult fail(Error error) override { co_return error; }
  bool needs_body() const override { return true; }

 private:
  Outcome& outcome_;
};

// Words of one choice that leave on one beat leave as one event.
void join(std::vector<engine::Piece>& batch, engine::Piece piece) {
  auto plain = [](const engine::Piece& p) { return p.logprobs.empty() && p.tool_calls.empty(); };
  auto before = std::find_if(batch.rbegin(), batch.rend(),
                             [&piece](const engine::Piece& p) { return p.choice == piece.choice; });
  if (before != batch.rend() && plain(*before) && plain(piece)) {
    before->text += piece.text;
    return;
  }
  batch.push_back(std::move(piece));
}

Task<Result<void>> refused(Error error) { co_return error; }

class EventSink final : public AnswerSink {
 public:
  EventSink(Call& call, const AnswerHead& head, StreamOptions options, Outcome& outcome)
      : call_(call),
        head_(head),
        options_(options),
        outcome_(outcome),
        events_(call, options.include_obfuscation) {}
  ~EventSink() override { count_padding(); }

  Task<Result<void>> begin() override {
    BULKHEAD_CO_CHECK_OK(co_await call_.started->durable());
    outcome_.sent();
    BULKHEAD_CO_CHECK_OK(co_await events_.start());
    if (head_.shape == AnswerShape::Text) co_return Result<void>();
    for (std::size_t i = 0; i < head_.choices; ++i) {
      BULKHEAD_CO_CHECK_OK(co_await events_.send(role_chunk(head_, i)));
    }
    co_return Result<void>();
  }

  Task<Result<void>> take(engine::ChatStream& rest, engine::Piece piece) override {
    if (events_.has_beat()) return send_on_the_beat(rest, std::move(piece));
    return send(piece);
  }

  HandlerResult finish(std::string) override {
    auto finished = co_await send_end();
    if (!finished) co_return co_await fail(finished.take_error());
    co_return Reply::already_streamed();
  }

  // After the first byte an error can only be an event; OpenAI's SDKs raise it as an API error.
  HandlerResult fail(Error error) override {
    if (!call_.exchange.started()) co_return error;
    call_.record.reason = error.name().code;
    http::Response response = error_response(error);
    auto sent = co_await events_.send(std::move(response.body));
    if (sent) sent = co_await call_.exchange.finish();
    if (!sent) call_.exchange.abort();
    co_return Reply::already_streamed();
  }

  bool needs_body() const override { return false; }
  std::uint64_t padding_bytes() const override { return events_.padding_bytes(); }

 private:
  // Counted before it is sent: what a client may have got is never left out.
  Task<Result<void>> send(const engine::Piece& piece) {
    const std::size_t calls_before = outcome_.answer().choices[piece.choice].tool_calls.size();
    if (auto added = outcome_.add(piece); !added) return refused(added.take_error());
    return events_.send(piece_chunk(head_, piece, calls_before));
  }

  Task<Result<void>> send_on_the_beat(engine::ChatStream& rest, engine::Piece piece) {
    std::vector<engine::Piece> batch;
    batch.push_back(std::move(piece));
    co_await events_.wait_for_beat();
    while (rest.buffered()) {
      auto more = co_await rest.next();
      if (!more) co_return more.take_error();
      if (*more && !(*more)->empty()) join(batch, std::move(**more));
    }
    outcome_.progress(rest.result());
    for (const engine::Piece& ready : batch) BULKHEAD_CO_CHECK_OK(co_await send(ready));
    co_return Result<void>();
  }

  Task<Result<void>> send_end() {
    const engine::Completion& answer = outcome_.answer();
    co_await events_.wait_for_beat();
    for (std::size_t i = 0; i < answer.choices.size(); ++i) {
      const bool last = i + 1 == answer.choices.size();
      BULKHEAD_CO_CHECK_OK(co_await events_.send(finish_chunk(head_, i, answer.choices[i], last)));
    }
    if (options_.include_usage) {
      BULKHEAD_CO_CHECK_OK(co_await events_.send(usage_chunk(head_, answer.usage)));
    }
    BULKHEAD_CO_CHECK_OK(co_await events_.send("[DONE]"));
    co_return co_await call_.exchange.finish();
  }

  void count_padding() const {
    if (events_.padding_bytes() == 0) return;
    call_.services.metrics
        .counter("bulkhead_stream_padding_bytes_total", "Bytes that padded streamed events",
                 {{"tenant", call_.scope().tenant().str()}})
        .add(events_.padding_bytes());
  }

  Call& call_;
  const AnswerHead& head_;
  const StreamOptions options_;
  Outcome& outcome_;
  EventWriter events_;
};

}  // namespace

std::unique_ptr<AnswerSink> whole_sink(Outcome& outcome) { return std::make_unique<WholeSink>(outcome); }

std::unique_ptr<AnswerSink> event_sink(Call& call, const AnswerHead& head, StreamOptions options,
                                       Outcome& outcome) {
  return std::make_unique<EventSink>(call, head, options, outcome);
}

}  // namespace bulkhead::gateway
