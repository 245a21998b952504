// [[key_provider]] sections: what is read and what is refused before any token is asked.
#include <gtest/gtest.h>

#include "gateway/config.h"

namespace bulkhead::gateway {
namespace {

const std::string kHead =
    "mode = \"production\"\n[server]\ncertificate = \"c\"\nkey = \"k\"\n[engine.chat]\npath = \"m.gguf\"\n"
    "[data]\ndir = \"d\"\nplatform_key_file = \"p\"\n";
const std::string kProvider =
    "[[key_provider]]\nname = \"hospital\"\nkind = \"pkcs11\"\nmodule = \"/usr/lib/hsm.so\"\ntoken = "
    "\"Hospital\"\nkey = \"kek\"\npin_file = \"pins/hospital\"\n";

std::string refusal(const std::string& sections) {
  auto config = parse_config(kHead + sections, "/etc/bulkhead/test.toml");
  return config ? "" : config.error().message();
}

std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ConfigKeyProvider, IsRead) {
  auto config = parse_config(kHead + "key_lifetime = 30\n" + kProvider + "call_time_max = 3\n",
                             "/etc/bulkhead/test.toml");
  ASSERT_TRUE(config.ok()) << config.error().message();
  ASSERT_EQ(config->key_providers.size(), 1u);
  const KeyProviderConfig& read = config->key_providers[0];
  EXPECT_EQ(read.name, "hospital");
  EXPECT_EQ(read.pkcs11.token, "Hospital");
  EXPECT_EQ(read.pkcs11.key, "kek");
  EXPECT_EQ(read.pkcs11.pin_file, "/etc/bulkhead/pins/hospital");
  EXPECT_EQ(read.call_time_max, std::chrono::seconds(3));
  EXPECT_EQ(config->data.key_lifetime, std::chrono::seconds(30));
  auto without = parse_config(kHead, "test.toml");
  EXPECT_TRUE(without->key_providers.empty()) << "none is needed";
  EXPECT_EQ(without->data.key_lifetime, std::chrono::seconds(60));
}

TEST(ConfigKeyProvider, MistakesAreNamed) {
  EXPECT_EQ(refusal(kProvider), "") << "control";
  const std::string second = with(kProvider, "\"hospital\"", "\"clinic\"");
  EXPECT_EQ(refusal(kProvider + second), "") << "control: two keys of one token";
  const std::pair<std::string, std::string> cases[] = {
      {with(kProvider, "\"hospital\"", "\"platform\""), "test.toml:11: key_provider.name"},
      {with(kProvider, "\"hospital\"", "\"Not a name\""), "test.toml:11: key_provider.name"},
      {with(kProvider, "\"pkcs11\"", "\"vault\""), "key_provider.kind must be one of \"pkcs11\""},
      {with(kProvider, "kind = \"pkcs11\"\n", ""), "key_provider.kind is needed"},
      {with(kProvider, "module = \"/usr/lib/hsm.so\"\n", ""), "key_provider.module is needed"},
      {with(kProvider, "token = \"Hospital\"\n", ""), "key_provider.token or serial is needed"},
      {with(kProvider, "key = \"kek\"\n", ""), "key_provider.key is needed"},
      {with(kProvider, "pin_file = \"pins/hospital\"\n", ""), "key_provider.pin_file is needed"},
      {kProvider + "pin = \"1234\"\n", "key_provider.pin is not a known key; allowed"},
      {kProvider + "call_time_max = 31\n", "from 1 to 30"},
      {kProvider + kProvider, "is there twice"},
      {kProvider + with(second, "pins/hospital", "pins/clinic"), "the same pin_file"},
      {"key_lifetime = 8\n" + kProvider, "call_time_max"},
      {"key_lifetime = 1\n", "data.key_lifetime must be"},
  };
  for (const auto& [text, named] : cases) {
    EXPECT_NE(refusal(text).find(named), std::string::npos) << named << "\n" << refusal(text);
  }
}

}  // namespace
}  // namespace bulkhead::gateway
