// The configuration file: every key of every section is read strictly, and a mistake names file, line,
// key and what is allowed.
#include "gateway/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace bulkhead::gateway {
namespace {

constexpr const char* kFile = "/etc/bulkhead/bulkhead.toml";

std::string seed(const char* name) {
  std::ifstream in(std::string(BULKHEAD_SOURCE_DIR) + "/fuzz/corpus/gateway_config/" + name);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

struct Line {
  std::size_t number;
  std::string key;  // "" for a section's head or an empty line
  std::string section;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}
std::string join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::vector<Line> keys_of(const std::vector<std::string>& lines) {
  std::vector<Line> all;
  std::string section;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].starts_with('[')) {
      section = lines[i].substr(lines[i].find_first_not_of('['));
      section = section.substr(0, section.find(']'));
    } else if (std::size_t equals = lines[i].find(" = "); equals != std::string::npos) {
      all.push_back({i + 1, lines[i].substr(0, equals), section});
    }
  }
  return all;
}

std::string refusal(const std::string& text) {
  auto config = parse_config(text, kFile);
  EXPECT_FALSE(config);
  return config ? "" : config.error().message();
}

class EveryKey : public ::testing::Test {
 protected:
  void SetUp() override {
    lines_ = split(seed("every_key"));
    auto config = parse_config(join(lines_), kFile);
    ASSERT_TRUE(config) << "control: " << config.error().message();
    keys_ = keys_of(lines_);
    ASSERT_GT(keys_.size(), 60u);
  }
  static std::string name_of(const Line& line) {
    return line.section.empty() ? line.key : line.section + "." + line.key;
  }

  std::vector<std::string> lines_;
  std::vector<Line> keys_;
};

TEST_F(EveryKey, OfAWrongTypeIsRefusedWithFileLineKeyAndWhatIsAllowed) {
  for (const Line& line : keys_) {
    std::vector<std::string> changed = lines_;
    changed[line.number - 1] = line.key + " = 1979-05-27";  // a date: no key takes one
    std::string message = refusal(join(changed));
    std::string place = std::string(kFile) + ":" + std::to_string(line.number) + ": ";
    EXPECT_TRUE(message.starts_with(place + name_of(line) + " "))
        << message << "\n  wanted " << place << name_of(line);
    EXPECT_NE(message.find(" must be "), std::string::npos) << message;
  }
}

TEST_F(EveryKey, MisspeltIsRefusedAndTheRightOnesAreListed) {
  for (const Line& line : keys_) {
    std::vector<std::string> changed = lines_;
    changed[line.number - 1] = line.key + "_x = 1";
    std::string message = refusal(join(changed));
    EXPECT_TRUE(message.starts_with(kFile)) << message;
    // A key that is needed may be missed before the stranger in its place is seen.
    bool unknown = message.find(line.key + "_x is not a known key; allowed") != std::string::npos;
    bool missed = message.find("need") != std::string::npos;
    EXPECT_TRUE(unknown || missed) << message;
    if (unknown) {
      EXPECT_NE(message.find(":" + std::to_string(line.number) + ":"), std::string::npos) << message;
    }
  }
}

TEST_F(EveryKey, OutOfRangeIsRefusedWithTheRange) {
  for (const Line& line : keys_) {
    const std::string& text = lines_[line.number - 1];
    char first = text[text.find(" = ") + 3];
    bool size = text.find("iB\"") != std::string::npos;
    bool number = first >= '0' && first <= '9';
    if (!number && !size) continue;
    for (const char* value : {"-1", "9223372036854775807"}) {
      // A size in bytes may be as large as the machine counts.
      if (line.key == "storage_bytes_max" && value[0] == '9') continue;
      std::vector<std::string> changed = lines_;
      changed[line.number - 1] = line.key + " = " + value;
      std::string message = refusal(join(changed));
      EXPECT_NE(message.find(name_of(line) + " must be "), std::string::npos) << message;
      EXPECT_NE(message.find(" to "), std::string::npos) << "names the range: " << message;
    }
  }
}

TEST(Config, EveryUnknownSectionIsRefused) {
  EXPECT_NE(refusal(seed("smallest") + "[sever]\nx = 1\n")
                .find("sever is not a known key; allowed at the top level"),
            std::string::npos);
}

TEST(Config, BrokenTomlNamesTheLine) {
  std::string message = refusal(seed("smallest") + "oh no\n");
  EXPECT_TRUE(message.starts_with(std::string(kFile) + ":7: ")) << message;
}

// Found by fuzzing: the TOML library takes a name behind the bracket for granted.
TEST(Config, ASectionWithoutANameIsRefused) {
  for (const char* header : {"[+x]", "[,]", "[[=]]", "[\x01]", "[ \xC3\xA9]", "[.a]"}) {
    std::string message = refusal(seed("smallest") + "\n" + header + "\n");
    EXPECT_TRUE(message.starts_with(std::string(kFile) + ":8: not valid TOML")) << header << ": " << message;
  }
}

TEST(Config, RulesOverSeveralKeys) {
  std::string smallest = seed("smallest");
  ASSERT_TRUE(parse_config(smallest, kFile)) << "control";
  EXPECT_NE(
      refusal("burn = false\n" + seed("every_key").substr(seed("every_key").find("[server]"))).find("burn"),
      std::string::npos);
  std::string experiment = seed("every_key");
  ASSERT_TRUE(parse_config(experiment, kFile)) << "control";
  experiment.replace(experiment.find("announce_changes = true"), 23, "announce_changes = false");
  EXPECT_NE(refusal(experiment).find("announce_changes"), std::string::npos);
  std::string uncounted = seed("every_key");
  uncounted.replace(uncounted.find("refusal_window = 30"), 19, "refusal_window = 0");
  EXPECT_NE(refusal(uncounted).find("refusal_window"), std::string::npos);
  EXPECT_NE(
      refusal("show_foreign_output = true\n" + seed("every_key").substr(seed("every_key").find("[server]")))
          .find("show_foreign_output"),
      std::string::npos);
  EXPECT_NE(refusal(seed("plain_http_everywhere")).find("plain_http"), std::string::npos);
  std::string production = smallest;
  production.replace(production.find("development"), 11, "production");
  EXPECT_NE(refusal(production).find("certificate"), std::string::npos);
  EXPECT_NE(refusal(smallest + "[[issuer]]\nissuer = \"https://a\"\n").find("audiences is needed"),
            std::string::npos);
  std::string both = smallest;
  both.replace(both.find("platform_key_file"), 0, "platform_key_env = \"K\"\n");
  EXPECT_NE(refusal(both).find("exactly one"), std::string::npos);
}

TEST(Config, MemoryForBodiesFollowsTheLargestBody) {
  const std::string smallest = seed("smallest");
  const auto with = [&smallest](const std::string& server) { return smallest + "[server]\n" + server; };
  auto config = parse_config(with("body_bytes_max = \"8 MiB\"\n"), kFile);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->server.body_memory_max, 64u << 20);
  EXPECT_EQ(config->server.tenant_body_memory_max, 16u << 20);
  EXPECT_NE(refusal(with("tenant_body_memory_max = \"64 MiB\"\n")).find("4/3 of body_bytes_max"),
            std::string::npos)
      << "a body of 64 MiB would wait for ever";
  EXPECT_NE(refusal(with("body_memory_max = \"100 MiB\"\n")).find("at least tenant_body_memory_max"),
            std::string::npos);
}

TEST(Config, PathsAreTakenFromTheFilesFolder) {
  auto config = parse_config(seed("smallest"), kFile);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->data.dir, "/etc/bulkhead/data");
  EXPECT_EQ(config->audit.dir, "/etc/bulkhead/data/audit");
  EXPECT_EQ(config->engine.chat.path, "/etc/bulkhead/model.gguf");
  EXPECT_TRUE(config->burn) << "burning is on unless a control experiment says otherwise";
}

}  // namespace
}  // namespace bulkhead::gateway
