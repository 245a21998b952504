// A folder that someone else wrote to: one segment of hostile bytes. Reading is bounded and gives
// back exactly the lines; verification never says "ok" of lines that our key did not sign, and names
// a place for what it finds; a query never fails on them.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "audit/chain.h"
#include "audit/query.h"
#include "audit/segment_reader.h"
#include "audit/verify.h"
#include "base/json.h"
#include "check.h"

namespace {

using namespace bulkhead;
using fuzz::require;

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "bulkhead-fuzz-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "a folder can be made");
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

const crypto::SigningKey& key() {
  static const crypto::SigningKey made = crypto::SigningKey::generate();
  return made;
}

void check_reader(const std::filesystem::path& segment, std::string_view text) {
  audit::SegmentReader reader(segment);
  std::string joined;
  std::size_t lines = 0;
  while (auto line = reader.next()) {
    require(line->size() <= audit::kLineBytesMax && line->find('\n') == std::string::npos,
            "a line is one, and bounded");
    joined += *line + "\n";
    ++lines;
  }
  require(reader.whole_bytes() == joined.size(), "whole bytes are those of the lines");
  require(text.starts_with(joined), "lines are what stands in the file");
  if (!reader.too_long()) {
    require(reader.torn() == (joined.size() != text.size()), "a torn end is seen");
  }
  if (auto front = audit::read_front(joined.substr(0, joined.find('\n')))) {
    std::string members = "\"event\":\"x\"";
    auto again = audit::read_front(audit::make_line(front->seq, front->prev, members));
    require(again && again->seq == front->seq && again->prev == front->prev, "a line's front reads back");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Folder folder;
  std::string_view text = fuzz::text_of(data, size);
  std::filesystem::path segment = folder.path / audit::segment_name(1);
  std::ofstream(segment, std::ios::binary | std::ios::trunc) << text;
  check_reader(segment, text);

  auto report = audit::verify(folder.path, key().verify_key(), {});
  require(report.ok(), "a folder that can be read can be judged");
  require(!report->ok && !report->findings.empty(), "no folder without a signed head is in order");
  for (const audit::Finding& finding : report->findings)
    require(!finding.what.empty(), "a finding says what");
  require(report->findings.size() <= 101, "findings stay in their bound");

  // A head that our key did sign, of another log.
  audit::Checkpoint other{"bulkhead", 1, audit::line_hash("{}"), "2026-01-01T00:00:00Z"};
  std::string head = audit::sign_checkpoint(other, key());
  auto anchored = audit::verify(folder.path, key().verify_key(), {head});
  require(anchored.ok() && !anchored->ok, "a log that a signed head contradicts is not in order");

  // What is no checkpoint of ours is none, whatever its form.
  auto forged = audit::read_checkpoint(text, key().verify_key());
  require(!forged, "no checkpoint verifies without the key");
  fuzz::require_told(forged.error());

  audit::Query query;
  query.tenant = "hospital";
  query.limit = 3;
  auto lines = audit::query(folder.path, query);
  require(lines.ok() && lines->size() <= 3, "a query gives at most what was asked for");
  for (const std::string& line : *lines) {
    auto document = base::json::Document::parse(line);
    require(document.ok() && document->root()["tenant"].as_string() == "hospital",
            "a query gives one tenant's lines");
  }
  return 0;
}
