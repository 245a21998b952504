// The route table: the only list of what this gateway answers. Each route names the permission it
// needs; the dispatcher authenticates and decides before a handler runs, so a route can't forget
// (LiteLLM #16303). Tests generate the route × role × tenant matrix from this table, and try every route that
// changes something against a full audit disk.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "access/permission.h"
#include "gateway/call.h"
#include "http/message.h"

namespace bulkhead::gateway {

enum class Audience {
  Public,    // no credential: the named few
  Tenant,    // a tenant's principal; a scope is opened
  Operator,  // the platform's operator; no scope
};

// What a route does to what is kept. Of a route that changes something the dispatcher makes the intent
// durable before the handler runs, so no handler can forget it, and without a log nothing is changed.
enum class Effect {
  Reads,
  Computes,  // asks the engine; what it may keep (a chat) waits for its own RequestStarted
  Changes,
};

struct Route {
  http::Method method;
  std::string_view pattern;  // "/v1/files/{id}/content"
  Audience audience;
  access::Permission permission;  // not read for Public
  Effect effect;
  audit::Event event;  // kind of its audit record
  RouteHandler handler;
  std::size_t body_bytes_max = 4u << 20;
  bool generates = false;  // asks the engine: counted against token limits
};

std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;
  std::vector<std::string> captures;
  bool path_known = false;  // another method would have matched
};
RouteMatch match_route(http::Method method, std::string_view path);

}  // namespace bulkhead::gateway
