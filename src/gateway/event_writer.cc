#include "gateway/event_writer.h"

#include "http/sse.h"

namespace bulkhead::gateway {

using base::Result;
using base::Task;

Task<Result<void>> EventWriter::start() {
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  headers.set("cache-control", "no-store");
  headers.set("x-request-id", call_.id.str());
  headers.set("x-content-type-options", "nosniff");
  call_.admission.add_headers(headers);
  return call_.exchange.start(200, std::move(headers));
}

Task<Result<void>> EventWriter::send(std::string payload) {
  return call_.exchange.write(http::sse_event(payload));
}

}  // namespace bulkhead::gateway
