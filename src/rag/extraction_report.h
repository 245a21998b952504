// ExtractionReport: what the extractor did with the parts of a document, as the gateway keeps and shows it,
// so that no loss is silent (docs/extract-protocol.md, docs/api.md).
//
// It holds counts and the numbers of pages, never a document's text. What it says was left out is one of a
// closed set; a worker that says anything else is not believed. Thread safety: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace bulkhead::rag {

struct ExtractionReport {
  struct Recognised {
    std::uint32_t page = 0;  // from 1
    int confidence = 0;      // in percent, on average over the page's letters
  };
  struct LeftOut {
    std::string what;  // "hidden_text", "page_without_text", ...
    std::uint64_t count = 0;
    std::vector<std::uint32_t> pages;
  };
  std::uint32_t pages = 0;  // 0: the format has none
  std::vector<Recognised> recognised;
  std::vector<LeftOut> left_out;

  // Of the worker's answer. Nothing when it has another form; absent is an empty one.
  static std::optional<ExtractionReport> parse(base::json::Value value);

  // As it is kept and shown; `type` is the document's, `characters` those of its text. At most a few KiB: of
  // many pages the first are named.
  std::string to_json(std::string_view type, std::uint64_t characters) const;
};

}  // namespace bulkhead::rag
