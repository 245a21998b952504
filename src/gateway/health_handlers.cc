// Liveness, readiness, metrics.
#include "base/json.h"
#include "gateway/api_error.h"
#include "gateway/handlers.h"

namespace bulkhead::gateway {

HandlerResult healthz(Call&) { co_return Reply::json(200, "{\"status\":\"ok\"}"); }

// Ready means: an answer can be given and recorded.
HandlerResult readyz(Call& call) {
  bool engine = call.services.engine.ready();
  bool audit = call.services.audit.healthy();
  base::json::Writer w;
  w.begin_object()
      .member("ready", engine && audit)
      .member("engine", engine ? "ready" : "starting")
      .member("audit", audit ? "writing" : "failing")
      .end_object();
  co_return Reply::json(engine && audit ? 200 : 503, w.take());
}

HandlerResult metrics(Call& call) {
  http::Response response = http::Response::text(200, call.services.metrics.render());
  response.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
  co_return Reply{std::move(response), false};
}

}  // namespace bulkhead::gateway
