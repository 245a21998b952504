// Compound files (MS-CFB): streams in a tree of storages, kept in chains of sectors. Read from memory with
// bounds; chains and trees that run in circles end. Thread safety: none. The bytes outlive the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::extract {

class CompoundFile {
 public:
  struct Entry {
    std::string name;  // ASCII; other characters as '?'
    bool storage = false;
    std::uint32_t child = 0, start = 0;
    std::uint64_t size = 0;
    std::uint32_t left = 0, right = 0;
  };

  // Errors: Invalid.
  static base::Result<CompoundFile> open(std::string_view bytes);

  const Entry& root() const { return entries_.front(); }
  // What a storage holds.
  std::vector<const Entry*> children(const Entry& storage) const;
  // The child of this name, null when there is none.
  const Entry* child(const Entry& storage, std::string_view name) const;
  // Errors: Invalid for a damaged chain, TooLarge when all streams together pass the bound.
  base::Result<std::string> stream(const Entry& entry) const;

 private:
  explicit CompoundFile(std::string_view bytes) : bytes_(bytes) {}
  base::Result<void> read_tables();
  base::Result<std::vector<std::uint32_t>> chain(std::uint32_t first,
                                                 const std::vector<std::uint32_t>& table) const;
  base::Result<std::string> read_chain(std::uint32_t first) const;
  std::string_view sector(std::uint32_t number) const;
  std::uint32_t u32(std::size_t at) const;

  std::string_view bytes_;
  std::size_t sector_bytes_ = 512;
  std::vector<std::uint32_t> fat_, mini_fat_;
  std::string mini_stream_;
  std::vector<Entry> entries_;
  mutable std::uint64_t read_ = 0;
};

}  // namespace bulkhead::extract
