// A strict reader over one TOML table: every read marks its key as known, and `finish` refuses what
// was never asked for. Errors are collected on the first mistake and carry file, line and key.
#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/config.h"

// What toml++ takes for granted about a file and does not check, as an exception: "[+x]" breaks an
// assertion of its parser, which a release build would assume to hold. Caught in parse_config.
namespace bulkhead::gateway {
struct TomlAssertionBroken {};
[[noreturn]] void toml_assertion_broken();
}  // namespace bulkhead::gateway
#define TOML_ASSERT(expression) \
  (static_cast<bool>(expression) ? static_cast<void>(0) : ::bulkhead::gateway::toml_assertion_broken())
#pragma push_macro("NDEBUG")
#undef NDEBUG
// toml++ is a large header: only config*.cc see it.
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace bulkhead::gateway {

class ConfigReader {
 public:
  // `file` and `section` are for messages. `failure` is shared by all readers of one file.
  ConfigReader(const toml::table& table, std::string file, std::string section,
               std::optional<base::Error>& failure)
      : table_(table), file_(std::move(file)), section_(std::move(section)), failure_(failure) {}

  void text(std::string_view key, std::string& out);
  void path(std::string_view key, std::filesystem::path& out, const std::filesystem::path& base);
  void flag(std::string_view key, bool& out);
  void real(std::string_view key, double& out, double least, double most);
  void texts(std::string_view key, std::vector<std::string>& out);
  void seconds(std::string_view key, std::chrono::seconds& out, std::int64_t least,
               std::int64_t most);
  // "64 MiB", "512 KiB", "1 GiB" or a plain number of bytes.
  void bytes(std::string_view key, std::size_t& out, std::size_t least, std::size_t most);
  std::optional<std::string> choice(std::string_view key,
                                    std::initializer_list<std::string_view> allowed);

  template <typename Number>
  void number(std::string_view key, Number& out, std::int64_t least, std::int64_t most) {
    if (auto value = integer(key, least, most)) out = static_cast<Number>(*value);
  }

  // A sub-table, read by `read`; absent is fine.
  void section(std::string_view key, const std::function<void(ConfigReader&)>& read);
  // An array of tables ([[key]]).
  void each(std::string_view key, const std::function<void(ConfigReader&)>& read);

  bool has(std::string_view key) const { return table_.contains(key); }
  void fail(ConfigError code, std::string_view key, std::string_view what);
  // After all reads: refuses unknown keys, naming those that exist.
  void finish();
  const toml::table& table() const { return table_; }

 private:
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  const toml::node* find(std::string_view key);
  std::string full_name(std::string_view key) const;

  const toml::table& table_;
  std::string file_;
  std::string section_;
  std::optional<base::Error>& failure_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace bulkhead::gateway
