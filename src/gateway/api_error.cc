#include "gateway/api_error.h"

#include "access/permission.h"
#include "audit/log.h"
#include "base/fair_pool.h"
#include "base/file.h"
#include "base/json.h"
#include "crypto/aead.h"
#include "crypto/key_provider.h"
#include "engine/engine.h"
#include "guard/text_policy.h"
#include "identity/error.h"
#include "rag/extractor.h"
#include "storage/store.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {

using base::Error;

namespace {

constexpr char kRetryAfterSeconds[] = "1";
constexpr HttpMapping kBadRequest{400, "invalid_request_error"};
constexpr HttpMapping kUnauthorized{401, "authentication_error"};
constexpr HttpMapping kForbidden{403, "permission_error"};
constexpr HttpMapping kNotFound{404, "invalid_request_error"};
constexpr HttpMapping kConflict{409, "invalid_request_error"};
constexpr HttpMapping kTooLarge{413, "invalid_request_error"};
constexpr HttpMapping kRateLimited{429, "rate_limit_error"};
constexpr HttpMapping kClientGone{499, "server_error"};
constexpr HttpMapping kServerError{500, "server_error"};
constexpr HttpMapping kBadGateway{502, "server_error"};
constexpr HttpMapping kUnavailable{503, "server_error"};

HttpMapping map(ApiError code) {
  switch (code) {
    case ApiError::NoSuchRoute: return kNotFound;
    case ApiError::MethodNotAllowed: return {405, "invalid_request_error"};
    case ApiError::NotJson: return kBadRequest;
    case ApiError::UnsupportedMediaType: return {415, "invalid_request_error"};
    case ApiError::BadParameter: return kBadRequest;
    case ApiError::UnsupportedParameter: return kBadRequest;
    case ApiError::UnknownParameter: return kBadRequest;
    case ApiError::MissingParameter: return kBadRequest;
    case ApiError::NotFound: return kNotFound;
    case ApiError::Forbidden: return kForbidden;
    case ApiError::TenantMismatch: return kForbidden;
    case ApiError::RateLimited: return kRateLimited;
    case ApiError::TooManyConcurrent: return kRateLimited;
    case ApiError::BodyTooLarge: return kTooLarge;
    case ApiError::BodiesBusy: return kUnavailable;
    case ApiError::TenantBodiesBusy: return kRateLimited;
    case ApiError::FailedTooOften: return kRateLimited;
    case ApiError::KeepingChatsOff: return kForbidden;
    case ApiError::ShuttingDown: return kUnavailable;
    case ApiError::NotReady: return kUnavailable;
    case ApiError::Conflict: return kConflict;
    case ApiError::Internal: return kServerError;
  }
  return kServerError;
}

HttpMapping map(identity::IdentityError code) {
  using identity::IdentityError;
  switch (code) {
    case IdentityError::Missing:
    case IdentityError::NotBearer:
    case IdentityError::Malformed:
    case IdentityError::AlgorithmRefused:
    case IdentityError::HeaderRefused:
    case IdentityError::IssuerUnknown:
    case IdentityError::KeyUnknown:
    case IdentityError::SignatureInvalid:
    case IdentityError::NotAccessToken:
    case IdentityError::SenderConstrained:
    case IdentityError::Expired:
    case IdentityError::NotYetValid:
    case IdentityError::AudienceWrong:
    case IdentityError::ClientWrong:
    case IdentityError::ClaimMissing:
    case IdentityError::ClaimInvalid:
    case IdentityError::ClaimElsewhere:
    case IdentityError::TenantUnknown:
    case IdentityError::TenantAmbiguous:
    case IdentityError::TenantNotOfIssuer:
    case IdentityError::ApiKeyUnknown: return kUnauthorized;
    case IdentityError::TenantSuspended: return kForbidden;
    case IdentityError::IssuerUnavailable:
    case IdentityError::IssuerBusy: return kUnavailable;
  }
  return kServerError;
}

HttpMapping map(tenancy::TenancyError code) {
  using tenancy::TenancyError;
  switch (code) {
    case TenancyError::UnknownTenant: return kNotFound;
    case TenancyError::TenantExists: return kConflict;
    case TenancyError::TenantSuspended: return kForbidden;
    case TenancyError::TenantDestroyed: return kConflict;
    case TenancyError::BadName: return kBadRequest;
    case TenancyError::BadPolicy: return kBadRequest;
    case TenancyError::NotATenantPrincipal: return kForbidden;
    case TenancyError::Registry: return kUnavailable;
    case TenancyError::KeyUnavailable: return kUnavailable;
    case TenancyError::KeyRevoked: return kForbidden;
    case TenancyError::Busy: return kUnavailable;
  }
  return kServerError;
}

HttpMapping map(storage::StorageError code) {
  using storage::StorageError;
  switch (code) {
    case StorageError::NotFound: return kNotFound;
    case StorageError::AlreadyExists: return kConflict;
    case StorageError::ScopeMismatch: return kNotFound;
    case StorageError::TenantGone: return kForbidden;
    case StorageError::Full: return {507, "server_error"};
    case StorageError::Corrupt: return kServerError;
    case StorageError::WrongKey: return kServerError;
    case StorageError::Busy: return kUnavailable;
    case StorageError::Io: return kUnavailable;
    case StorageError::SealBroken: return kServerError;
    case StorageError::TooLarge: return kTooLarge;
    case StorageError::QuotaExceeded: return kForbidden;
    case StorageError::BackupRefused: return kBadRequest;
    case StorageError::Unavailable: return kUnavailable;
    case StorageError::Misconfigured: return kServerError;
    case StorageError::Cancelled: return kClientGone;
    case StorageError::Reindexing: return kUnavailable;
  }
  return kServerError;
}

HttpMapping map(engine::EngineError code) {
  using engine::EngineError;
  switch (code) {
    case EngineError::Unavailable: return kUnavailable;
    case EngineError::ModelUnknown: return kNotFound;
    case EngineError::ContextExceeded: return kBadRequest;
    case EngineError::QueueFull: return kRateLimited;
    case EngineError::BadRequest: return kBadRequest;
    case EngineError::BadAnswer: return kBadGateway;
    case EngineError::Cancelled: return kClientGone;
    case EngineError::Failed: return kBadGateway;
    case EngineError::TimedOut: return {504, "server_error"};
    case EngineError::ModelRefused: return kBadRequest;
    case EngineError::ModelBusy: return kConflict;
    case EngineError::HeldOff: return kRateLimited;
  }
  return kServerError;
}

HttpMapping map(audit::AuditError code) {
  using audit::AuditError;
  switch (code) {
    case AuditError::Unavailable: return kUnavailable;
    case AuditError::OutcomeUnrecorded: return kUnavailable;
    case AuditError::ShareUsed: return kRateLimited;
    case AuditError::Corrupt: return kServerError;
    case AuditError::RolledBack: return kServerError;
    case AuditError::Io: return kUnavailable;
    case AuditError::BadQuery: return kBadRequest;
    case AuditError::Locked: return kServerError;
  }
  return kServerError;
}

HttpMapping map(guard::GuardError code) {
  using guard::GuardError;
  switch (code) {
    case GuardError::NotUtf8:
    case GuardError::ControlCharacter:
    case GuardError::Smuggling: return kBadRequest;
    case GuardError::TooLong: return kTooLarge;
  }
  return kServerError;
}

HttpMapping map(base::json::JsonError code) {
  using base::json::JsonError;
  switch (code) {
    case JsonError::Malformed:
    case JsonError::TooDeep:
    case JsonError::DuplicateKey: return kBadRequest;
    case JsonError::TooLarge: return kTooLarge;
  }
  return kServerError;
}

HttpMapping map(http::HttpError code) {
  using http::HttpError;
  switch (code) {
    case HttpError::Malformed:
    case HttpError::BadMultipart: return kBadRequest;
    case HttpError::HeadersTooLarge: return {431, "invalid_request_error"};
    case HttpError::BodyTooLarge: return kTooLarge;
    case HttpError::LengthRequired: return {411, "invalid_request_error"};
    case HttpError::UnsupportedVersion: return {505, "invalid_request_error"};
    case HttpError::UnsupportedTransferEncoding: return {501, "invalid_request_error"};
    case HttpError::Timeout: return {408, "invalid_request_error"};
    case HttpError::ConnectionClosed:
    case HttpError::ConnectFailed:
    case HttpError::TlsFailed:
    case HttpError::BadResponse: return kBadGateway;
    case HttpError::Cancelled: return kClientGone;
    case HttpError::SignatureInvalid:
    case HttpError::SignatureStale:
    case HttpError::SignatureReplayed:
    case HttpError::DigestMismatch: return kUnauthorized;
    case HttpError::Bind: return kServerError;
  }
  return kServerError;
}

HttpMapping map(rag::ExtractError code) {
  using rag::ExtractError;
  switch (code) {
    case ExtractError::UnsupportedFile:
    case ExtractError::InvalidFile:
    case ExtractError::Encrypted: return kBadRequest;
    case ExtractError::TooLarge: return kTooLarge;
    case ExtractError::Timeout:
    case ExtractError::Crashed: return kBadRequest;
    case ExtractError::Unavailable: return kUnavailable;
    case ExtractError::Cancelled: return kClientGone;
  }
  return kServerError;
}

HttpMapping map(access::AccessError) { return kBadRequest; }
HttpMapping map(crypto::CryptoError) { return kServerError; }
HttpMapping map(crypto::KeyProviderError code) {
  using crypto::KeyProviderError;
  switch (code) {
    case KeyProviderError::Revoked: return kForbidden;
    case KeyProviderError::Unavailable: return kUnavailable;
    case KeyProviderError::Misconfigured: return kBadRequest;
  }
  return kServerError;
}
HttpMapping map(base::FileError) { return kServerError; }
HttpMapping map(base::PoolError code) {
  using base::PoolError;
  switch (code) {
    case PoolError::QueueFull: return kRateLimited;
    case PoolError::Cancelled: return kClientGone;
  }
  return kServerError;
}

template <typename... Enums>
HttpMapping first_match(const Error& error) {
  HttpMapping mapping = kServerError;
  // The first enum whose code the error holds decides.
  static_cast<void>(((error.as<Enums>() ? (mapping = map(*error.as<Enums>()), true) : false) || ...));
  return mapping;
}

}  // namespace

base::ErrorName error_name(ApiError code) {
  switch (code) {
    case ApiError::NoSuchRoute: return {"api", "no_such_route"};
    case ApiError::MethodNotAllowed: return {"api", "method_not_allowed"};
    case ApiError::NotJson: return {"api", "not_json"};
    case ApiError::UnsupportedMediaType: return {"api", "unsupported_media_type"};
    case ApiError::BadParameter: return {"api", "invalid_parameter"};
    case ApiError::UnsupportedParameter: return {"api", "unsupported_parameter"};
    case ApiError::UnknownParameter: return {"api", "unknown_parameter"};
    case ApiError::MissingParameter: return {"api", "missing_parameter"};
    case ApiError::NotFound: return {"api", "not_found"};
    case ApiError::Forbidden: return {"api", "forbidden"};
    case ApiError::TenantMismatch: return {"api", "tenant_mismatch"};
    case ApiError::RateLimited: return {"api", "rate_limit_exceeded"};
    case ApiError::TooManyConcurrent: return {"api", "too_many_concurrent_requests"};
    case ApiError::BodyTooLarge: return {"api", "body_too_large"};
    case ApiError::BodiesBusy: return {"api", "bodies_busy"};
    case ApiError::TenantBodiesBusy: return {"api", "tenant_bodies_busy"};
    case ApiError::FailedTooOften: return {"api", "too_many_failed_authentications"};
    case ApiError::KeepingChatsOff: return {"api", "store_not_allowed"};
    case ApiError::ShuttingDown: return {"api", "shutting_down"};
    case ApiError::NotReady: return {"api", "not_ready"};
    case ApiError::Conflict: return {"api", "conflict"};
    case ApiError::Internal: return {"api", "internal"};
  }
  return {"api", "unknown"};
}

Error api_error(ApiError code, std::string message, std::string parameter) {
  return Error(code, std::move(message)).with_parameter(std::move(parameter));
}

Error not_found(std::string_view what) {
  return Error(ApiError::NotFound, "No such " + std::string(what) + ".");
}

HttpMapping map_error(const Error& error) {
  return first_match<ApiError, identity::IdentityError, tenancy::TenancyError, storage::StorageError,
                     engine::EngineError, audit::AuditError, guard::GuardError, base::json::JsonError,
                     http::HttpError, rag::ExtractError, access::AccessError, crypto::CryptoError,
                     crypto::KeyProviderError, base::FileError, base::PoolError>(error);
}

http::Response error_response(const Error& error) {
  HttpMapping mapping = map_error(error);
  base::json::Writer w;
  w.begin_object().key("error").begin_object();
  w.member("message", error.message()).member("type", mapping.type);
  if (error.parameter().empty()) {
    w.key("param").null();
  } else {
    w.member("param", error.parameter());
  }
  w.member("code", error.name().code).end_object().end_object();
  http::Response response = http::Response::json(mapping.status, w.take());
  // What the server could not do just now, and what a full queue refused, may be asked for again soon. A
  // limit that knows its own time says so instead.
  if (mapping.status == 503 || mapping.status == 429) response.headers.set("retry-after", kRetryAfterSeconds);
  if (mapping.status == 401) {
    response.headers.set("www-authenticate", "Bearer error=\"invalid_token\"");
  }
  return response;
}

}  // namespace bulkhead::gateway
