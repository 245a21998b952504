// bulkhead-extract: reads one document from standard input, writes its text to standard output, ends.
// Started by `bulkhead serve` for each document; docs/extract-protocol.md.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include "base/json.h"
#include "base/memory_lock.h"
#include "base/scrub.h"
#include "extract/document.h"
#include "extract/ocr.h"
#include "extract/sandbox.h"

namespace bulkhead::extract {
namespace {

namespace json = base::json;

constexpr std::size_t kHeaderBytesMax = 4096;
constexpr std::size_t kContentBytesMax = 1u << 30;
constexpr std::int64_t kOcrSecondsMax = 3'600;

bool read_exactly(char* out, std::size_t bytes) {
  while (bytes > 0) {
    ssize_t got = ::read(STDIN_FILENO, out, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(std::string_view text) {
  while (!text.empty()) {
    ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

std::string read_header_line() {
  std::string line;
  char c = 0;
  while (line.size() < kHeaderBytesMax && read_exactly(&c, 1) && c != '\n') line += c;
  return line;
}

void write_report(json::Writer& w, const Report& report) {
  w.begin_object().member("pages", static_cast<std::uint64_t>(report.pages)).key("recognised").begin_array();
  for (const Report::Recognised& page : report.recognised) {
    w.begin_object().member("page", static_cast<std::uint64_t>(page.page));
    w.member("confidence", page.confidence).end_object();
  }
  w.end_array().key("left_out").begin_array();
  for (const Report::Part& part : report.left_out) {
    w.begin_object()
        .member("what", left_out_name(part.what))
        .member("count", part.count)
        .key("pages")
        .begin_array();
    for (std::uint32_t page : part.pages) w.value(static_cast<std::uint64_t>(page));
    w.end_array().end_object();
  }
  w.end_array().end_object();
}

std::string document_json(const Document& document) {
  json::Writer w;
  w.begin_object().member("type", document.type).member("title", document.title).key("blocks").begin_array();
  for (const Block& block : document.blocks) {
    w.begin_object().member("kind", block_kind_name(block.kind)).member("level", block.level);
    w.member("text", block.text).member("page", static_cast<std::uint64_t>(block.page)).end_object();
  }
  w.end_array();
  write_report(w.key("report"), document.report);
  w.end_object();
  return w.take();
}

std::string error_json(const base::Error& error) {
  json::Writer w;
  w.begin_object().key("error").begin_object();
  w.member("code", error.name().code).member("message", error.message()).end_object().end_object();
  return w.take();
}

OcrSettings ocr_settings(json::Value ocr) {
  OcrSettings settings;
  if (!ocr.is_object()) return settings;
  const json::Value languages = ocr["languages"];
  for (std::size_t i = 0; languages.is_array() && i < languages.size(); ++i) {
    settings.languages.emplace_back(languages.at(i).as_string().value_or(""));
  }
  settings.seconds_max = static_cast<int>(std::clamp<std::int64_t>(
      ocr["seconds_max"].as_int().value_or(settings.seconds_max), 1, kOcrSecondsMax));
  settings.page_seconds_max = std::min(settings.page_seconds_max, settings.seconds_max);
  return settings;
}

int run(bool may_swap) {
  auto header = json::Document::parse(read_header_line());
  auto bytes = header ? header->root()["bytes"].as_int() : std::nullopt;
  auto memory = header ? header->root()["memory_bytes_max"].as_int() : std::nullopt;
  if (!bytes || *bytes < 0 || static_cast<std::size_t>(*bytes) > kContentBytesMax || !memory ||
      *memory <= 0) {
    std::fputs("bulkhead-extract is started by `bulkhead serve`; there is nothing to run by hand.\n", stderr);
    return 2;
  }
  if (may_swap && !header->root()["allow_swap"].as_bool().value_or(false)) {
    write_all(error_json(base::Error(ExtractionError::Invalid, std::string(base::kMaySwapMessage))));
    return 1;
  }
  Limits limits;
  limits.text_bytes_max = static_cast<std::size_t>(
      header->root()["text_bytes_max"].as_int().value_or(static_cast<std::int64_t>(limits.text_bytes_max)));
  std::string name(header->root()["name"].as_string().value_or(""));
  std::string content(static_cast<std::size_t>(*bytes), '\0');
  if (!read_exactly(content.data(), content.size())) return 2;
  prepare_pdf();
  const OcrSettings ocr = ocr_settings(header->root()["ocr"]);
  prepare_ocr(ocr);
  SandboxLimits bounds{.memory_bytes_max = static_cast<std::size_t>(*memory)};
  bounds.seconds_max = bounds.reading_seconds_max + (can_recognise() ? ocr.seconds_max : 0);
  if (auto sandboxed = enter_sandbox(bounds); !sandboxed) {
    write_all(error_json(sandboxed.error()));
    return 1;
  }
  auto document = extract_any(name, content, limits);
  bool written = write_all(document ? document_json(*document) : error_json(document.error()));
  return written ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead::extract

int main() {
  bulkhead::base::harden_process();
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  bool may_swap = bulkhead::base::lock_process_memory() == bulkhead::base::MemoryLock::MaySwap;
  // A library's complaint on standard error must not end the process when that is a file.
  signal(SIGXFSZ, SIG_IGN);
  int status = bulkhead::extract::run(may_swap);
  // No destructors of libraries inside the sandbox: the process's end frees and forgets everything.
  _exit(status);
}
