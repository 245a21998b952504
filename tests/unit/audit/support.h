// A log in a folder of its own, and ways to read and damage what it wrote.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "audit/chain.h"
#include "audit/log.h"
#include "audit/query.h"
#include "audit/segment_reader.h"
#include "audit/verify.h"
#include "base/file.h"

namespace bulkhead::audit {

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() : key_(crypto::SigningKey::generate()) {
    std::string name = (std::filesystem::temp_directory_path() / "bulkhead-audit-XXXXXX").string();
    if (!::mkdtemp(name.data())) std::abort();
    root_ = name;
    options_.dir = root_ / "log";
    // Only what a test asks for is written: no checkpoint by the clock.
    options_.checkpoint_interval = std::chrono::seconds(3600);
  }
  ~AuditTest() override {
    log_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  crypto::SigningKey same_key() const { return *crypto::SigningKey::from_seed(key_.seed()); }
  base::Result<std::unique_ptr<Log>> try_open() { return Log::open(options_, same_key(), clock_); }
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().describe();
    log_ = std::move(*opened);
  }
  void close() { log_.reset(); }

  static Record record(const std::string& tenant, int number = 0) {
    Record made;
    made.event = Event::Search;
    made.tenant = tenant;
    made.request_id = "req-" + std::to_string(number);
    made.decision = "allow";
    return made;
  }
  Position append(const std::string& tenant, int number = 0) {
    auto position = log_->append(record(tenant, number)).wait();
    if (!position) std::abort();
    return *position;
  }
  // Opens, appends `count` records one by one, closes: the log ends with a signed checkpoint.
  void write(int count, const std::string& tenant = "hospital") {
    open();
    for (int i = 0; i < count; ++i) append(tenant, i);
    close();
  }

  std::vector<std::filesystem::path> segments() const {
    std::vector<std::filesystem::path> paths;
    auto listed = list_segments(options_.dir);
    for (const Segment& segment : *listed) paths.push_back(segment.path);
    return paths;
  }
  static std::string slurp(const std::filesystem::path& path) {
    return base::read_file(path, 64u << 20).value_or("");
  }
  static std::vector<std::string> lines(const std::filesystem::path& path) {
    std::vector<std::string> all;
    SegmentReader reader(path);
    while (auto line = reader.next()) all.push_back(std::move(*line));
    return all;
  }
  std::vector<std::string> all_lines() const {
    std::vector<std::string> all;
    for (const auto& path : segments()) {
      for (std::string& line : lines(path)) all.push_back(std::move(line));
    }
    return all;
  }
  static void put(const std::filesystem::path& path, const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }
  static void put(const std::filesystem::path& path, const std::vector<std::string>& content) {
    std::string text;
    for (const std::string& line : content) text += line + "\n";
    put(path, text);
  }
  std::string head() const { return slurp(options_.dir / kHeadFile); }

  VerifyReport judge(const std::vector<std::string>& anchors = {}) const {
    auto report = verify(options_.dir, key_.verify_key(), anchors);
    if (!report) {
      ADD_FAILURE() << report.error().describe();
      return {};
    }
    return std::move(*report);
  }

  crypto::SigningKey key_;
  base::ManualClock clock_;
  std::filesystem::path root_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
};

inline std::string told(const VerifyReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) {
    text += finding.file + ":" + std::to_string(finding.line) + ": " + finding.what + "\n";
  }
  return text;
}

}  // namespace bulkhead::audit
