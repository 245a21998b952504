#include "rag/extractor.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>

#include "base/bytes.h"
#include "base/json.h"
#include "rag/extract_process.h"

namespace bulkhead::rag {

namespace json = base::json;
using base::Error;
using base::Result;
using base::Task;

namespace {

// JSON around the text, with escapes.
constexpr std::size_t kAnswerFactor = 8;
// Of the file's name only its ending is of use to the worker.
constexpr std::size_t kNameBytesMax = 200;
// Whose work on the pool this is: who waits for an extraction takes turns before it.
constexpr char kParty[] = "extractions";
constexpr std::size_t kTitleBytesMax = 300;
constexpr std::size_t kMessageBytesMax = 300;
constexpr std::size_t kTypeBytesMax = 16;

// Bounds the processes at once. Waiting holds no thread of the pool, which storage needs too.
class Slots {
 public:
  explicit Slots(std::size_t most) : free_(most) {}

  // False when cancelled while waiting; then there is nothing to leave.
  Task<bool> enter(base::CancelToken cancel) {
    auto waiter = std::make_shared<Waiter>();
    if (take_or_queue(waiter)) co_return true;
    auto registration = cancel.on_cancel([waiter] { waiter->woken.set(); });
    co_await waiter->woken;
    co_return keep_or_withdraw(waiter);
  }

  void leave() {
    std::shared_ptr<Waiter> next;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.empty()) {
        ++free_;
        return;
      }
      next = std::move(waiting_.front());
      waiting_.pop_front();
      next->granted = true;
    }
    next->woken.set();
  }

 private:
  struct Waiter {
    base::Event woken;
    bool granted = false;  // guarded by mutex_
  };

  bool take_or_queue(const std::shared_ptr<Waiter>& waiter) {
    std::lock_guard lock(mutex_);
    if (free_ > 0) {
      --free_;
      return true;
    }
    waiting_.push_back(waiter);
    return false;
  }

  bool keep_or_withdraw(const std::shared_ptr<Waiter>& waiter) {
    std::lock_guard lock(mutex_);
    if (!waiter->granted) std::erase(waiting_, waiter);
    return waiter->granted;
  }

  std::mutex mutex_;
  std::size_t free_;
  std::deque<std::shared_ptr<Waiter>> waiting_;
};

Block::Kind block_kind(std::string_view name) {
  if (name == "heading") return Block::Kind::Heading;
  if (name == "list_item") return Block::Kind::ListItem;
  if (name == "table_row") return Block::Kind::TableRow;
  if (name == "code") return Block::Kind::Code;
  return Block::Kind::Paragraph;
}

// The worker read hostile bytes: its answer is trusted no further than its form.
Result<ExtractedDocument> parse_answer(std::string_view answer, std::size_t text_bytes_max) {
  Error broken(ExtractError::Crashed, "The file could not be read: its reader stopped.", "malformed answer");
  json::Limits limits;
  limits.bytes_max = text_bytes_max * kAnswerFactor;
  limits.nodes_max = 2'000'000;
  auto document = json::Document::parse(answer, limits);
  if (!document || !document->root().is_object()) return broken;
  json::Value root = document->root();
  if (json::Value error = root["error"]; error.is_object()) {
    auto code = error["code"].as_string().value_or("");
    ExtractError kind = code == "unsupported_file" ? ExtractError::UnsupportedFile
                        : code == "encrypted_file" ? ExtractError::Encrypted
                        : code == "too_large"      ? ExtractError::TooLarge
                                                   : ExtractError::InvalidFile;
    return Error(kind, std::string(error["message"]
                                       .as_string()
                                       .value_or("The file could not be read.")
                                       .substr(0, kMessageBytesMax)));
  }
  ExtractedDocument out;
  out.type = std::string(root["type"].as_string().value_or("").substr(0, kTypeBytesMax));
  out.title = std::string(root["title"].as_string().value_or("").substr(0, kTitleBytesMax));
  auto report = ExtractionReport::parse(root["report"]);
  if (!report) return broken;
  out.report = std::move(*report);
  json::Value blocks = root["blocks"];
  if (!blocks.is_array()) return broken;
  std::size_t text_bytes = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    json::Value block = blocks.at(i);
    auto text = block["text"].as_string();
    if (!text || (text_bytes += text->size()) > text_bytes_max) return broken;
    auto level = block["level"].as_int().value_or(0);
    auto page = block["page"].as_int().value_or(0);
    out.characters += static_cast<std::uint64_t>(std::count_if(
        text->begin(), text->end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
    out.blocks.push_back({block_kind(block["kind"].as_string().value_or("")),
                          static_cast<int>(std::clamp<std::int64_t>(level, 0, 9)), std::string(*text),
                          static_cast<std::uint32_t>(std::clamp<std::int64_t>(page, 0, 1'000'000))});
  }
  return out;
}

}  // namespace

base::ErrorName error_name(ExtractError code) {
  switch (code) {
    case ExtractError::UnsupportedFile: return {"extract", "unsupported_file"};
    case ExtractError::InvalidFile: return {"extract", "invalid_file"};
    case ExtractError::Encrypted: return {"extract", "encrypted_file"};
    case ExtractError::TooLarge: return {"extract", "too_large"};
    case ExtractError::Timeout: return {"extract", "timeout"};
    case ExtractError::Crashed: return {"extract", "crashed"};
    case ExtractError::Unavailable: return {"extract", "unavailable"};
    case ExtractError::Cancelled: return {"extract", "cancelled"};
  }
  return {"extract", "unknown"};
}

struct Extractor::Impl {
  ExtractorOptions options;
  base::FairPool& pool;
  Slots slots;
  std::atomic<std::uint64_t> started{0}, failed{0}, killed{0};

  Impl(ExtractorOptions o, base::FairPool& p)
      : options(std::move(o)), pool(p), slots(std::max<std::size_t>(1, options.concurrent)) {}

  Result<ExtractedDocument> run(const std::string& name, const std::string& content,
                                const base::CancelToken& cancel) {
    started.fetch_add(1);
    std::string header = header_line(name, content.size());
    auto answer = run_extract_process(
        {options.executable, header, content, options.text_bytes_max * kAnswerFactor, time_max()}, cancel);
    if (!answer) {
      const Error& error = answer.error();
      if (error.is(ExtractError::Timeout) || error.is(ExtractError::Cancelled)) killed.fetch_add(1);
      return answer.take_error();
    }
    auto document = parse_answer(*answer, options.text_bytes_max);
    base::wipe(*answer);
    return document;
  }

  // The worker bounds reading and recognition apart; it is killed after both.
  std::chrono::milliseconds time_max() const {
    const bool recognises = !options.ocr_languages.empty();
    return options.time_max + (recognises ? options.ocr_time_max : std::chrono::seconds(0));
  }

  std::string header_line(std::string_view name, std::size_t bytes) const {
    if (name.size() > kNameBytesMax) name.remove_prefix(name.size() - kNameBytesMax);
    json::Writer w;
    w.begin_object()
        .member("name", name)
        .member("bytes", static_cast<std::uint64_t>(bytes))
        .member("memory_bytes_max", static_cast<std::uint64_t>(options.memory_bytes_max))
        .member("allow_swap", options.allow_swap)
        .member("text_bytes_max", static_cast<std::uint64_t>(options.text_bytes_max))
        .key("ocr")
        .begin_object()
        .member("seconds_max", static_cast<std::int64_t>(options.ocr_time_max.count()))
        .key("languages")
        .begin_array();
    for (const std::string& language : options.ocr_languages) w.value(language);
    w.end_array().end_object().end_object();
    return w.take() + "\n";
  }
};

Extractor::Extractor(ExtractorOptions options, base::FairPool& pool)
    : impl_(std::make_shared<Impl>(std::move(options), pool)) {}
Extractor::~Extractor() = default;

Task<Result<ExtractedDocument>> Extractor::extract(std::string file_name, std::string content,
                                                   base::CancelToken cancel) {
  std::shared_ptr<Impl> impl = impl_;
  if (!co_await impl->slots.enter(cancel)) {
    base::wipe(content);
    co_return Error(ExtractError::Cancelled, "The request was cancelled.");
  }
  auto document = co_await impl->pool.run(
      {.party = kParty, .cancel = cancel},
      [&impl, &file_name, &content, &cancel] { return impl->run(file_name, content, cancel); });
  impl->slots.leave();
  base::wipe(content);
  if (!document) impl->failed.fetch_add(1);
  co_return std::move(document);
}

Extractor::Stats Extractor::stats() const {
  return {impl_->started.load(), impl_->failed.load(), impl_->killed.load()};
}

}  // namespace bulkhead::rag
