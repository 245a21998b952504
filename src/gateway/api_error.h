// Mistakes that the API layer itself finds, and the one table that turns every module's errors into
// HTTP status, OpenAI error type and audit reason.
#pragma once

#include <string>

#include "base/result.h"
#include "http/message.h"

namespace bulkhead::gateway {

enum class ApiError {
  NoSuchRoute,           // 404
  MethodNotAllowed,      // 405
  NotJson,               // 400
  UnsupportedMediaType,  // 415
  BadParameter,          // 400
  UnsupportedParameter,  // 400: known to OpenAI's API, not here
  UnknownParameter,      // 400
  MissingParameter,      // 400
  NotFound,              // 404: missing, foreign and withheld look the same
  Forbidden,             // 403
  TenantMismatch,        // 403
  RateLimited,           // 429
  TooManyConcurrent,     // 429
  BodyTooLarge,          // 413
  BodiesBusy,            // 503: the gateway's memory for bodies is used up
  TenantBodiesBusy,      // 429: the tenant's is
  FailedTooOften,        // 429: authentications from one network address
  KeepingChatsOff,       // 403
  ShuttingDown,          // 503
  NotReady,              // 503
  Conflict,              // 409
  Internal,              // 500
};
base::ErrorName error_name(ApiError code);

// Makes an error of this layer; `parameter` names the request member at fault.
base::Error api_error(ApiError code, std::string message, std::string parameter = {});
base::Error not_found(std::string_view what);  // "No such file." for every reason

struct HttpMapping {
  int status = 500;
  const char* type = "server_error";  // OpenAI's: invalid_request_error, authentication_error, …
};
// Total over all modules' enums; the compiler warns when an enumerator is missing.
HttpMapping map_error(const base::Error& error);

// OpenAI's error body: {"error":{"message","type","param","code"}}.
http::Response error_response(const base::Error& error);

}  // namespace bulkhead::gateway
