// What C++ can't keep a determined hand from (naming a friend class anew, including an internal
// header) is looked for in the source.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace bulkhead::identity {
namespace {

namespace fs = std::filesystem;

std::set<std::string> files_naming(const fs::path& root, std::string_view word) {
  std::set<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    auto extension = entry.path().extension();
    if (extension != ".h" && extension != ".cc") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    if (text.str().find(word) != std::string::npos) found.insert(fs::relative(entry.path(), root).string());
  }
  return found;
}

// "file: text" of every place that the expression matches.
std::multiset<std::string> matches(const fs::path& root, const std::string& expression,
                                   const std::string& ending = "") {
  std::multiset<std::string> found;
  const std::regex wanted(expression);
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string extension = entry.path().extension();
    if ((extension != ".h" && extension != ".cc") || (!ending.empty() && extension != ending)) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (const std::size_t comment = line.find("//"); comment != std::string::npos) line.resize(comment);
      for (std::sregex_iterator at(line.begin(), line.end(), wanted), end; at != end; ++at) {
        found.insert(fs::relative(entry.path(), root).string() + ": " + at->str());
      }
    }
  }
  return found;
}

const fs::path kSource = fs::path(BULKHEAD_SOURCE_DIR) / "src";

TEST(Walls, OnlyIdentityMakesPrincipals) {
  EXPECT_EQ(files_naming(kSource, "PrincipalFactory"),
            (std::set<std::string>{"identity/authenticator.cc", "identity/principal.h",
                                   "identity/principal_factory.h", "identity/token_verifier.cc",
                                   "identity/upkeep_principal.cc"}));
  EXPECT_EQ(files_naming(kSource, "principal_factory.h\""),
            (std::set<std::string>{"identity/authenticator.cc", "identity/token_verifier.cc",
                                   "identity/upkeep_principal.cc"}));
}

// The platform's own principal, which holds no role, and the capability that gives scopes with it: taken by
// the store manager alone, used by it (keys) and by storage's upkeep (scopes).
TEST(Walls, OnlyStoragesUpkeepWorksWithoutACredential) {
  EXPECT_EQ(files_naming(kSource, "UpkeepPrincipal"),
            (std::set<std::string>{"identity/upkeep_principal.cc", "identity/upkeep_principal.h",
                                   "tenancy/scope_makers.cc"}));
  EXPECT_EQ(files_naming(kSource, "take_platform_access"),
            (std::set<std::string>{"storage/store_manager.cc", "tenancy/directory.cc", "tenancy/directory.h",
                                   "tenancy/scope_makers.h"}));
  EXPECT_EQ(files_naming(kSource, "platform_access()"),
            (std::set<std::string>{"storage/api_key_lookup.cc", "storage/store_manager.cc",
                                   "storage/store_manager.h", "storage/upkeep.cc", "tenancy/directory.cc",
                                   "tenancy/directory.h"}));
  EXPECT_EQ(matches(kSource, R"(\baccess(_|\(\))?\.database_keys\()", ".cc"),
            (std::multiset<std::string>{"storage/store_manager.cc: access.database_keys("}));
}

TEST(Walls, OnlyTenancyMakesScopes) {
  EXPECT_EQ(files_naming(kSource, "scope_shared.h\""),
            (std::set<std::string>{"tenancy/scope.cc", "tenancy/tenant_table.h"}));
  EXPECT_EQ(files_naming(kSource, "class TenantDirectory"),
            (std::set<std::string>{"tenancy/directory.h", "tenancy/scope.h", "tenancy/scope_makers.h"}));
  EXPECT_EQ(
      files_naming(kSource, "class PlatformAccess"),
      (std::set<std::string>{"identity/upkeep_principal.h", "tenancy/scope.h", "tenancy/scope_makers.h"}));
  EXPECT_EQ(files_naming(kSource, "tenant_table.h\""),
            (std::set<std::string>{"tenancy/directory.cc", "tenancy/keyring.cc", "tenancy/scope_makers.cc",
                                   "tenancy/tenant_table.cc", "tenancy/tenant_table_keys.cc"}));
  // Every expression that makes one: two from a principal, and one for the platform's upkeep.
  EXPECT_EQ(matches(kSource, R"(\bTenantScope[({][^)})])"),
            (std::multiset<std::string>{"tenancy/scope.cc: TenantScope(s", "tenancy/scope.h: TenantScope(s",
                                        "tenancy/scope_makers.cc: TenantScope(s",
                                        "tenancy/scope_makers.cc: TenantScope(s",
                                        "tenancy/scope_makers.cc: TenantScope(s"}))
      << "the first two are the constructor itself";
  // Every function that gives one away.
  EXPECT_EQ(
      matches(kSource, R"(Result<[a-z:<]*TenantScope>+ \w+\()", ".h"),
      (std::multiset<std::string>{"storage/upkeep.h: Result<tenancy::TenantScope> scope(",
                                  "tenancy/directory.h: Result<TenantScope> open(",
                                  "tenancy/directory.h: Result<std::optional<TenantScope>> open_at_once(",
                                  "tenancy/scope_makers.h: Result<TenantScope> open_for_maintenance("}));
}

// Tests make theirs with real credentials too.
TEST(Walls, NoTestForgesEither) {
  const fs::path tests = fs::path(BULKHEAD_SOURCE_DIR) / "tests" / "unit";
  EXPECT_EQ(files_naming(tests, "PrincipalFactory"), (std::set<std::string>{"identity/walls_test.cc"}));
  EXPECT_FALSE(files_naming(tests, "test_principal.h").empty()) << "control: the search finds words";
}

}  // namespace
}  // namespace bulkhead::identity
