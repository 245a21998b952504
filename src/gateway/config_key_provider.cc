#include "gateway/config_key_provider.h"

namespace bulkhead::gateway {

void read_key_provider(ConfigReader& r, const std::filesystem::path& base, KeyProviderConfig& out) {
  r.text("name", out.name);
  const auto kind = r.choice("kind", {"pkcs11"});
  r.path("module", out.pkcs11.module, base);
  r.text("token", out.pkcs11.token);
  r.text("serial", out.pkcs11.serial);
  r.text("key", out.pkcs11.key);
  r.path("pin_file", out.pkcs11.pin_file, base);
  r.seconds("call_time_max", out.call_time_max, 1, 30);
  if (!is_section_name(out.name) || out.name == "platform") {
    r.fail(ConfigError::BadValue, "name",
           "is needed: 1 to 32 lower-case letters, digits and hyphens, and not \"platform\"");
  }
  if (!kind)
    r.fail(ConfigError::Missing, "kind", "is needed: \"pkcs11\" (the platform's key needs no section)");
  if (out.pkcs11.module.empty()) {
    r.fail(ConfigError::Missing, "module", "is needed: the path of the token's PKCS#11 library");
  }
  if (out.pkcs11.token.empty() && out.pkcs11.serial.empty()) {
    r.fail(ConfigError::Missing, "token", "or serial is needed: the token's label or its serial number");
  }
  if (out.pkcs11.key.empty()) r.fail(ConfigError::Missing, "key", "is needed: the label of the AES-256 key");
  if (out.pkcs11.pin_file.empty()) {
    r.fail(ConfigError::Missing, "pin_file", "is needed: a file of mode 0600 with the token's user PIN");
  }
}

void check_key_providers(ConfigReader& r, const Config& config) {
  for (auto one = config.key_providers.begin(); one != config.key_providers.end(); ++one) {
    if (one->call_time_max * 2 > config.data.key_lifetime) {
      r.fail(ConfigError::Contradiction, "key_provider",
             "\"" + one->name +
                 "\" may take longer to answer than half of data.key_lifetime: lower its "
                 "call_time_max, or raise key_lifetime");
    }
    for (auto other = config.key_providers.begin(); other != one; ++other) {
      if (other->name == one->name) {
        r.fail(ConfigError::Contradiction, "key_provider", "\"" + one->name + "\" is there twice");
      }
      const bool same_token = other->pkcs11.module == one->pkcs11.module &&
                              other->pkcs11.token == one->pkcs11.token &&
                              other->pkcs11.serial == one->pkcs11.serial;
      if (same_token && other->pkcs11.pin_file != one->pkcs11.pin_file) {
        r.fail(ConfigError::Contradiction, "key_provider",
               "\"" + one->name + "\" and \"" + other->name +
                   "\" are keys of one token: give both the same pin_file");
      }
    }
  }
}

}  // namespace bulkhead::gateway
