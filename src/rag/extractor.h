// Extractor: runs bulkhead-extract, one sandboxed process a document, so that hostile bytes of one
// tenant never meet another's and everything about a document is gone when its process ends.
// docs/extract-protocol.md is the wire.
//
// Bounds: processes at once, wall-clock time (the process is killed), memory (its own rlimit), text.
// Thread safety: all members from every reactor. What blocks runs on the pool.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fair_pool.h"
#include "base/result.h"
#include "base/task.h"
#include "rag/extraction_report.h"

namespace bulkhead::rag {

enum class ExtractError {
  UnsupportedFile,
  InvalidFile,
  Encrypted,
  TooLarge,
  Timeout,
  Crashed,
  Unavailable,
  Cancelled,
};
base::ErrorName error_name(ExtractError code);

struct Block {
  enum class Kind { Heading, Paragraph, ListItem, TableRow, Code };
  Kind kind = Kind::Paragraph;
  int level = 0;  // of a heading, from 1
  std::string text;
  std::uint32_t page = 0;  // from 1; 0: the format has no pages
};

struct ExtractedDocument {
  std::string type;  // "pdf", "docx", "html", ...: docs/extract-protocol.md
  std::string title;
  std::vector<Block> blocks;
  ExtractionReport report;
  std::uint64_t characters = 0;  // of all blocks
};

struct ExtractorOptions {
  std::filesystem::path executable;
  std::size_t concurrent = 2;
  std::chrono::milliseconds time_max{30'000};
  std::size_t memory_bytes_max = 1u << 30;
  std::size_t text_bytes_max = 16u << 20;
  // Languages of text recognition, the main one first, as Tesseract names them; none: scans are not read.
  std::vector<std::string> ocr_languages;
  std::chrono::seconds ocr_time_max{300};  // processor time of a document's recognition; beside `time_max`
  bool allow_swap = false;                 // work though memory may be swapped (development only)
};

class Extractor {
 public:
  Extractor(ExtractorOptions options, base::FairPool& pool);
  ~Extractor();
  base::Task<base::Result<ExtractedDocument>> extract(std::string file_name, std::string content,
                                                      base::CancelToken cancel);
  struct Stats {
    std::uint64_t started = 0;  // processes
    std::uint64_t failed = 0;   // documents without a text, whatever the reason
    std::uint64_t killed = 0;   // processes ended by us: out of time, or nobody waits any more
  };
  Stats stats() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace bulkhead::rag
