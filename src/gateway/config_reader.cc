#include "gateway/config_reader.h"

#include <charconv>

namespace bulkhead::gateway {

namespace {

std::string in_range(std::string_view unit, std::int64_t least, std::int64_t most) {
  return "must be a whole number" + std::string(unit) + " from " + std::to_string(least) + " to " +
         std::to_string(most);
}

std::optional<std::size_t> parse_size(std::string_view text) {
  std::size_t number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc()) return std::nullopt;
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  unsigned shift = 0;
  if (unit == "KiB")
    shift = 10;
  else if (unit == "MiB")
    shift = 20;
  else if (unit == "GiB")
    shift = 30;
  else if (!unit.empty() && unit != "B")
    return std::nullopt;
  if (number > (SIZE_MAX >> shift)) return std::nullopt;
  return number << shift;
}

}  // namespace

bool is_section_name(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-";
  return !text.empty() && text.size() <= 32 && text.front() != '-' &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

void toml_assertion_broken() { throw TomlAssertionBroken(); }

std::string ConfigReader::full_name(std::string_view key) const {
  return section_.empty() ? std::string(key) : section_ + "." + std::string(key);
}

void ConfigReader::fail(ConfigError code, std::string_view key, std::string_view what) {
  if (failure_) return;
  const toml::node* node = table_.get(key);
  auto line = node ? node->source().begin.line : table_.source().begin.line;
  std::string where = file_ + ":" + std::to_string(line) + ": ";
  failure_.emplace(code, where + full_name(key) + " " + std::string(what));
}

const toml::node* ConfigReader::find(std::string_view key) {
  known_.emplace(key);
  if (failure_) return nullptr;
  return table_.get(key);
}

void ConfigReader::text(std::string_view key, std::string& out) {
  const toml::node* node = find(key);
  if (!node) return;
  if (auto value = node->value_exact<std::string>()) {
    out = *value;
  } else {
    fail(ConfigError::BadValue, key, "must be a string in quotes");
  }
}

void ConfigReader::path(std::string_view key, std::filesystem::path& out, const std::filesystem::path& base) {
  std::string value;
  text(key, value);
  if (value.empty()) return;
  std::filesystem::path given(value);
  out = (given.is_absolute() ? given : base / given).lexically_normal();
}

void ConfigReader::flag(std::string_view key, bool& out) {
  const toml::node* node = find(key);
  if (!node) return;
  if (auto value = node->value_exact<bool>()) {
    out = *value;
  } else {
    fail(ConfigError::BadValue, key, "must be true or false");
  }
}

void ConfigReader::real(std::string_view key, double& out, double least, double most) {
  const toml::node* node = find(key);
  if (!node) return;
  auto value = node->value<double>();
  if (value && *value >= least && *value <= most) {
    out = *value;
  } else {
    fail(ConfigError::BadValue, key,
         "must be a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
}

std::optional<std::int64_t> ConfigReader::integer(std::string_view key, std::int64_t least,
                                                  std::int64_t most) {
  const toml::node* node = find(key);
  if (!node) return std::nullopt;
  auto value = node->value_exact<std::int64_t>();
  if (value && *value >= least && *value <= most) return value;
  fail(ConfigError::BadValue, key, in_range("", least, most));
  return std::nullopt;
}

void ConfigReader::seconds(std::string_view key, std::chrono::seconds& out, std::int64_t least,
                           std::int64_t most) {
  const toml::node* node = find(key);
  if (!node) return;
  auto value = node->value_exact<std::int64_t>();
  if (value && *value >= least && *value <= most) {
    out = std::chrono::seconds(*value);
  } else {
    fail(ConfigError::BadValue, key, in_range(" of seconds", least, most));
  }
}

void ConfigReader::bytes(std::string_view key, std::size_t& out, std::size_t least, std::size_t most) {
  const toml::node* node = find(key);
  if (!node) return;
  std::optional<std::size_t> value;
  if (auto number = node->value_exact<std::int64_t>(); number && *number >= 0) {
    value = static_cast<std::size_t>(*number);
  } else if (auto words = node->value_exact<std::string>()) {
    value = parse_size(*words);
  }
  if (value && *value >= least && *value <= most) {
    out = *value;
  } else {
    fail(ConfigError::BadValue, key,
         "must be a size like \"64 MiB\" (KiB, MiB, GiB or plain bytes) from " + std::to_string(least) +
             " to " + std::to_string(most) + " bytes");
  }
}

void ConfigReader::texts(std::string_view key, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (!node) return;
  const toml::array* array = node->as_array();
  if (!array) return fail(ConfigError::BadValue, key, "must be a list of strings");
  std::vector<std::string> values;
  for (const toml::node& item : *array) {
    auto value = item.value_exact<std::string>();
    if (!value) return fail(ConfigError::BadValue, key, "must be a list of strings");
    values.push_back(*value);
  }
  out = std::move(values);
}

void ConfigReader::text_table(std::string_view key, std::map<std::string, std::string>& out) {
  const toml::node* node = find(key);
  if (!node) return;
  const toml::table* table = node->as_table();
  if (!table) return fail(ConfigError::BadValue, key, "must be a table: { \"their name\" = \"ours\" }");
  for (const auto& [name, item] : *table) {
    auto value = item.value_exact<std::string>();
    if (!value) return fail(ConfigError::BadValue, key, "must hold strings in quotes only");
    out.insert_or_assign(std::string(name.str()), *value);
  }
}

std::optional<identity::ClaimPath> ConfigReader::claim_path(std::string_view key, const toml::node& node) {
  std::vector<std::string> steps;
  bool fits = true;
  if (auto text = node.value_exact<std::string>(); text && !text->empty()) {
    return identity::ClaimPath(std::move(*text));
  }
  const toml::array* array = node.as_array();
  if (array) {
    for (const toml::node& item : *array) {
      auto step = item.value_exact<std::string>();
      fits = fits && step && !step->empty();
      if (fits) steps.push_back(std::move(*step));
    }
  }
  if (!array || !fits || steps.empty()) {
    fail(ConfigError::BadValue, key,
         "must be a claim's path, \"ext.tenant_id\", or its steps, [\"https://acme.example/org\", \"id\"]");
    return std::nullopt;
  }
  return identity::ClaimPath::of_steps(std::move(steps));
}

void ConfigReader::claim(std::string_view key, identity::ClaimPath& out) {
  const toml::node* node = find(key);
  if (!node) return;
  if (auto path = claim_path(key, *node)) out = std::move(*path);
}

void ConfigReader::claims(std::string_view key, std::vector<identity::ClaimPath>& out) {
  const toml::node* node = find(key);
  if (!node) return;
  const toml::array* array = node->as_array();
  if (!array || array->empty()) {
    return fail(ConfigError::BadValue, key, "must be a list of claims' paths; each may be a list of steps");
  }
  std::vector<identity::ClaimPath> paths;
  for (const toml::node& item : *array) {
    auto path = claim_path(key, item);
    if (!path) return;
    paths.push_back(std::move(*path));
  }
  out = std::move(paths);
}

std::optional<std::string> ConfigReader::choice(std::string_view key,
                                                std::initializer_list<std::string_view> allowed) {
  std::string value;
  text(key, value);
  if (value.empty()) return std::nullopt;
  std::string list;
  for (std::string_view option : allowed) {
    if (option == value) return value;
    list += (list.empty() ? "\"" : ", \"") + std::string(option) + "\"";
  }
  fail(ConfigError::BadValue, key, "must be one of " + list);
  return std::nullopt;
}

void ConfigReader::section(std::string_view key, const std::function<void(ConfigReader&)>& read) {
  const toml::node* node = find(key);
  if (!node) return;
  const toml::table* table = node->as_table();
  if (!table) return fail(ConfigError::BadValue, key, "must be a section: [" + full_name(key) + "]");
  ConfigReader reader(*table, file_, full_name(key), failure_);
  read(reader);
  reader.finish();
}

void ConfigReader::each(std::string_view key, const std::function<void(ConfigReader&)>& read) {
  const toml::node* node = find(key);
  if (!node) return;
  const toml::array* array = node->as_array();
  if (!array) {
    return fail(ConfigError::BadValue, key, "must be a list of sections: [[" + full_name(key) + "]]");
  }
  for (const toml::node& item : *array) {
    const toml::table* table = item.as_table();
    if (!table) {
      return fail(ConfigError::BadValue, key, "must be a list of sections: [[" + full_name(key) + "]]");
    }
    ConfigReader reader(*table, file_, full_name(key), failure_);
    read(reader);
    reader.finish();
  }
}

void ConfigReader::finish() {
  if (failure_) return;
  for (const auto& [key, node] : table_) {
    if (known_.contains(key.str())) continue;
    std::string list;
    for (const std::string& name : known_) list += (list.empty() ? "" : ", ") + name;
    std::string section = section_.empty() ? "at the top level" : "in [" + section_ + "]";
    return fail(ConfigError::UnknownKey, key.str(), "is not a known key; allowed " + section + ": " + list);
  }
}

}  // namespace bulkhead::gateway
