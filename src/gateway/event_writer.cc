#include "gateway/event_writer.h"

#include "crypto/random.h"
#include "http/sse.h"

namespace bulkhead::gateway {

using base::Result;
using base::Task;

namespace {

constexpr std::string_view kMember = ",\"obfuscation\":\"\"";
constexpr std::string_view kComment = ":\n";
constexpr unsigned kBitsPerCharacter = 5;

// Random, so that no compression on the way takes the padding out again.
std::string filler(std::size_t bytes) {
  std::string text = crypto::random_id(static_cast<unsigned>(bytes * kBitsPerCharacter));
  text.resize(bytes, 'x');
  return text;
}

std::size_t missing(std::size_t size, std::size_t quantum) { return (quantum - size % quantum) % quantum; }

}  // namespace

std::string shaped_event(std::string payload, std::size_t quantum, std::uint64_t& added) {
  std::string event = http::sse_event(payload);
  if (quantum == 0) return event;
  std::size_t plain = event.size();
  if (!payload.empty() && payload.back() == '}') {
    std::string fill = filler(missing(plain + kMember.size(), quantum));
    payload.pop_back();
    payload += ",\"obfuscation\":\"" + fill + "\"}";
    event = http::sse_event(payload);
  } else {
    event = ":" + filler(missing(plain + kComment.size(), quantum)) + "\n" + event;
  }
  added += event.size() - plain;
  return event;
}

EventWriter::EventWriter(Call& call, bool obfuscation_asked)
    : call_(call),
      quantum_(call.scope().record().policy.engine.stream_padding_bytes),
      beat_(call.scope().record().policy.engine.stream_cadence_ms) {
  // A policy's padding is the administrator's word: a client can ask for some, never for less.
  if (quantum_ == 0 && obfuscation_asked) quantum_ = kObfuscationQuantum;
}

Task<Result<void>> EventWriter::start() {
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  headers.set("cache-control", "no-store");
  headers.set("x-request-id", call_.id.str());
  headers.set("x-content-type-options", "nosniff");
  call_.admission.add_headers(headers);
  began_ = call_.services.clock.monotonic();
  return call_.exchange.start(200, std::move(headers));
}

Task<Result<void>> EventWriter::send(std::string payload) {
  return call_.exchange.write(shaped_event(std::move(payload), quantum_, padding_bytes_));
}

Task<void> EventWriter::wait_for_beat() {
  http::Reactor* reactor = http::Reactor::current();
  if (!has_beat() || !reactor) co_return;
  auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(call_.services.clock.monotonic() - began_);
  static_cast<void>(co_await reactor->sleep(beat_ - passed % beat_, call_.cancel));
}

}  // namespace bulkhead::gateway
