// The one table from errors to HTTP: total, and safe in what it says.
#include "gateway/api_error.h"

#include <gtest/gtest.h>

#include <set>

#include "access/permission.h"
#include "audit/log.h"
#include "base/file.h"
#include "base/json.h"
#include "crypto/aead.h"
#include "engine/engine.h"
#include "guard/text_policy.h"
#include "identity/error.h"
#include "rag/extractor.h"
#include "storage/store.h"
#include "tenancy/tenant.h"

namespace bulkhead::gateway {
namespace {

// Every enumerator, found by its name: error_name answers "unknown" behind the last one.
template <typename E>
std::vector<base::Error> every(const char* what) {
  std::vector<base::Error> all;
  for (int i = 0; i < 200; ++i) {
    auto code = static_cast<E>(i);
    if (error_name(code).code == "unknown") break;
    all.emplace_back(code, "A message.", "operator's detail /etc/secret");
  }
  EXPECT_FALSE(all.empty()) << what;
  return all;
}

std::vector<base::Error> all_errors() {
  std::vector<base::Error> all;
  auto add = [&all](std::vector<base::Error> more) {
    for (base::Error& error : more) all.push_back(std::move(error));
  };
  add(every<ApiError>("api"));
  add(every<identity::IdentityError>("identity"));
  add(every<tenancy::TenancyError>("tenancy"));
  add(every<storage::StorageError>("storage"));
  add(every<engine::EngineError>("engine"));
  add(every<audit::AuditError>("audit"));
  add(every<guard::GuardError>("guard"));
  add(every<base::json::JsonError>("json"));
  add(every<http::HttpError>("http"));
  add(every<rag::ExtractError>("extract"));
  add(every<access::AccessError>("access"));
  add(every<crypto::CryptoError>("crypto"));
  add(every<base::FileError>("file"));
  return all;
}

TEST(ApiErrors, EveryErrorOfEveryModuleHasAStatusAndATypeThatFit) {
  for (const base::Error& error : all_errors()) {
    HttpMapping mapping = map_error(error);
    EXPECT_GE(mapping.status, 400) << error.describe();
    EXPECT_LT(mapping.status, 600) << error.describe();
    std::string type = mapping.type;
    if (mapping.status == 401) {
      EXPECT_EQ(type, "authentication_error") << error.describe();
    }
    if (mapping.status == 403) {
      EXPECT_EQ(type, "permission_error") << error.describe();
    }
    if (mapping.status == 429) {
      EXPECT_EQ(type, "rate_limit_error") << error.describe();
    }
    if (mapping.status >= 500 && mapping.status != 501 && mapping.status != 505) {
      EXPECT_EQ(type, "server_error") << error.describe();
    }
  }
}

TEST(ApiErrors, TheBodyIsOpenAisAndHoldsNoDetail) {
  for (const base::Error& error : all_errors()) {
    http::Response response = error_response(error);
    auto body = base::json::Document::parse(response.body);
    ASSERT_TRUE(body);
    base::json::Value shown = body->root()["error"];
    for (std::string_view member : {"message", "type", "param", "code"})
      EXPECT_TRUE(shown[member].exists()) << member;
    EXPECT_EQ(shown["code"].as_string(), error.name().code);
    EXPECT_EQ(response.body.find("secret"), std::string::npos) << error.describe();
    EXPECT_EQ(response.headers.count("www-authenticate"), response.status == 401 ? 1u : 0u);
  }
  base::Error hostile = api_error(ApiError::BadParameter, "'\"}\n\x01' is bad.", "a\"b");
  auto body = base::json::Document::parse(error_response(hostile).body);
  ASSERT_TRUE(body);
  EXPECT_EQ(body->root()["error"]["param"].as_string(), "a\"b");
}

TEST(ApiErrors, MissingForeignAndWithheldLookTheSame) {
  base::Error missing = not_found("file");
  EXPECT_EQ(map_error(missing).status, 404);
  EXPECT_EQ(map_error(base::Error(storage::StorageError::ScopeMismatch, "x")).status, 404);
  EXPECT_EQ(map_error(base::Error(storage::StorageError::NotFound, "x")).status, 404);
}

TEST(ApiErrors, NoTwoErrorsOfOneModuleShareACode) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const base::Error& error : all_errors()) {
    auto name = error.name();
    EXPECT_TRUE(seen.emplace(name.module, name.code).second) << name.module << "." << name.code;
  }
}

}  // namespace
}  // namespace bulkhead::gateway
