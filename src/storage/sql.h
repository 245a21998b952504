// SQL that is fixed at compile time: `Sql` can be made from a string literal only, so no statement can
// be assembled from input.
#pragma once

namespace bulkhead::storage {

class Sql {
 public:
  consteval Sql(const char* literal) : text_(literal) {}  // NOLINT: implicit by design
  const char* text() const { return text_; }

 private:
  const char* text_;
};

}  // namespace bulkhead::storage
