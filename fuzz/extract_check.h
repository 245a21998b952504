// What holds for every answer of the extractor's readers, whatever they were given.
#pragma once

#include <cstdlib>
#include <string_view>

#include "extract/document.h"

namespace bulkhead::extract {

inline void require(bool holds) {
  if (!holds) std::abort();
}

inline void check_answer(const base::Result<Document>& document, const Limits& limits) {
  if (!document) {
    require(!document.error().message().empty());
    return;
  }
  std::size_t bytes = 0;
  for (const Block& block : document->blocks) {
    bytes += block.text.size();
    require(!block.text.empty());
    require(clean_text(block.text, block.kind == BlockKind::Code) == block.text);
    require((block.kind == BlockKind::Heading) == (block.level > 0));
  }
  require(bytes <= limits.text_bytes_max && document->blocks.size() <= limits.blocks_max);
  require(clean_text(document->title, false) == document->title);
}

// Small bounds, so that the fuzzer meets them.
inline Limits small_limits() { return {.text_bytes_max = 64 << 10, .blocks_max = 500}; }

}  // namespace bulkhead::extract
