// [[store]] sections: what is read and what is refused before anything is connected to.
#include <gtest/gtest.h>

#include "gateway/config.h"

namespace bulkhead::gateway {
namespace {

const std::string kHead =
    "mode = \"production\"\n[server]\ncertificate = \"c\"\nkey = \"k\"\n[data]\ndir = "
    "\"d\"\nplatform_key_file = \"p\"\n"
    "[engine.chat]\npath = \"m.gguf\"\n";
const std::string kStore =
    "[[store]]\nname = \"pg\"\nkind = \"postgres\"\nlayout = \"schema\"\nhost = \"/run/postgresql\"\n"
    "admin_password_file = \"secret\"\n";

std::string refusal(const std::string& sections) {
  auto config = parse_config(kHead + sections, "test.toml");
  return config ? "" : config.error().message();
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ConfigStore, IsRead) {
  auto config =
      parse_config(kHead + kStore + "port = 6543\n[tenant_defaults]\nstore = \"pg\"\n", "test.toml");
  ASSERT_TRUE(config.ok()) << config.error().message();
  ASSERT_EQ(config->stores.size(), 1u);
  EXPECT_EQ(config->stores[0].layout, storage::PostgresLayout::Schema);
  EXPECT_EQ(config->stores[0].port, 6543);
  EXPECT_EQ(config->stores[0].sslmode, "verify-full");
  EXPECT_EQ(config->tenant_defaults.store, "pg");
  EXPECT_TRUE(parse_config(kHead, "test.toml")->stores.empty()) << "none is needed";
}

TEST(ConfigStore, MistakesAreNamed) {
  EXPECT_EQ(refusal(kStore), "") << "control";
  const std::pair<std::string, std::string> cases[] = {
      {with(kStore, "\"pg\"", "\"embedded\""), "store.name"},
      {with(kStore, "\"pg\"", "\"Not a name\""), "store.name"},
      {with(kStore, "\"schema\"", "\"tables\""), "store.layout"},
      {with(kStore, "kind = \"postgres\"\n", ""), "store.kind"},
      {with(kStore, "host = \"/run/postgresql\"\n", ""), "store.host"},
      {with(kStore, "/run/postgresql", "/run/postgresql,"), "store.host"},
      {with(kStore, "/run/postgresql", "a.example,,b.example"), "store.host"},
      {with(kStore, "admin_password_file = \"secret\"\n", ""), "admin_password"},
      {kStore + "admin_password_env = \"X\"\n", "admin_password"},
      {kStore + "password = \"written down\"\n", "store.password"},
      {kStore + "prefix = \"a-b\"\n", "store.prefix"},
      {kStore + "sslmode = \"prefer\"\n", "store.sslmode"},
      {kStore + "connections_max = 1\n", "store.connections_max"},
      {kStore + kStore, "twice"},
      {kStore + with(kStore, "\"pg\"", "\"other\""), "a prefix of its own"},
      {kStore + with(with(kStore, "\"pg\"", "\"other\""), "/run/postgresql", "db.example,/run/postgresql"),
       "a prefix of its own"},
      {kStore + "[tenant_defaults]\nstore = \"other\"\n", "no [[store]]"},
  };
  for (const auto& [text, said] : cases) {
    EXPECT_NE(refusal(text).find(said), std::string::npos) << text << "\n" << refusal(text);
  }
}

TEST(ConfigStore, AServerElsewhereMustBeVerified) {
  const std::string remote = with(kStore, "/run/postgresql", "db.example");
  EXPECT_EQ(refusal(remote), "");
  for (const char* mode : {"disable", "require"}) {
    const std::string line = "sslmode = \"" + std::string(mode) + "\"\n";
    EXPECT_NE(refusal(remote + line).find("verify-full"), std::string::npos) << mode;
    EXPECT_EQ(refusal(kStore + line), "") << "on this machine it may";
    EXPECT_EQ(refusal(with(kStore, "/run/postgresql", "127.0.0.1") + line), "");
    EXPECT_EQ(refusal(with(kStore, "/run/postgresql", "/run/postgresql,127.0.0.1") + line), "");
    for (const char* hosts : {"/run/postgresql,db.example", "127.0.0.1,db.example", "db.example,::1"}) {
      EXPECT_NE(refusal(with(kStore, "/run/postgresql", hosts) + line).find("verify-full"), std::string::npos)
          << "one of them is elsewhere: " << hosts;
    }
  }
}

}  // namespace
}  // namespace bulkhead::gateway
