// Text → the words a text index keeps, each with how often it stands there: FTS5's own tokenizer
// ("porter unicode61 remove_diacritics 2"), the one that the embedded backend's index uses, so that a
// question finds the same chunks whatever the backend.
//
// Thread safety: all members from every thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bulkhead::storage {

class WordTokenizer {
 public:
  static base::Result<std::unique_ptr<WordTokenizer>> create();
  ~WordTokenizer();
  WordTokenizer(const WordTokenizer&) = delete;

  // Adds the words of `text` to `counts`.
  base::Result<void> count(std::string_view text, std::map<std::string, std::uint32_t>& counts) const;

 private:
  struct Impl;
  explicit WordTokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
