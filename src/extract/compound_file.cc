#include "extract/compound_file.h"

#include <algorithm>

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kHeaderBytes = 512, kEntryBytes = 128, kMiniBytes = 64;
constexpr std::uint32_t kSectorsMax = 0xFFFFFFFA;  // from here on numbers mean ends and gaps
constexpr std::uint64_t kMiniStreamMax = 4'096;    // smaller streams live in the mini stream
constexpr std::size_t kEntriesMax = 100'000;
constexpr std::uint64_t kReadBytesMax = 256u << 20;

Error damaged() { return Error(ExtractionError::Invalid, "The message is damaged. Save it as EML."); }

std::uint32_t u32_of(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0u);
  }
  return value;
}

}  // namespace

std::uint32_t CompoundFile::u32(std::size_t at) const { return u32_of(bytes_, at); }

std::string_view CompoundFile::sector(std::uint32_t number) const {
  std::size_t at = (static_cast<std::size_t>(number) + 1) * sector_bytes_;
  return at < bytes_.size() ? bytes_.substr(at, sector_bytes_) : std::string_view();
}

Result<CompoundFile> CompoundFile::open(std::string_view bytes) {
  CompoundFile file(bytes);
  if (bytes.size() < kHeaderBytes) return damaged();
  std::uint32_t shift = file.u32(30) & 0xFFFF;
  if (shift != 9 && shift != 12) return damaged();
  file.sector_bytes_ = std::size_t{1} << shift;
  BULKHEAD_CHECK_OK(file.read_tables());
  return file;
}

Result<void> CompoundFile::read_tables() {
  constexpr std::size_t kInHeader = 109;
  const std::size_t sectors = bytes_.size() / sector_bytes_ + 1;
  std::vector<std::uint32_t> tables;
  for (std::size_t i = 0; i < kInHeader; ++i) tables.push_back(u32(76 + i * 4));
  std::uint32_t more = u32(68);
  for (std::size_t steps = 0; more < kSectorsMax && steps < sectors; ++steps) {
    std::string_view part = sector(more);
    for (std::size_t at = 0; at + 4 < sector_bytes_; at += 4) tables.push_back(u32_of(part, at));
    more = u32_of(part, sector_bytes_ - 4);
    if (tables.size() > sectors + kInHeader) break;
  }
  for (std::uint32_t table : tables) {
    if (table >= kSectorsMax || fat_.size() > sectors) continue;
    std::string_view part = sector(table);
    for (std::size_t at = 0; at + 4 <= part.size(); at += 4) fat_.push_back(u32_of(part, at));
  }
  BULKHEAD_TRY(directory, read_chain(u32(48)));
  for (std::size_t at = 0; at + kEntryBytes <= directory.size() && entries_.size() < kEntriesMax;
       at += kEntryBytes) {
    std::string_view raw = std::string_view(directory).substr(at, kEntryBytes);
    Entry entry;
    std::size_t name_bytes = std::min<std::size_t>(u32_of(raw, 64) & 0xFFFF, 64);
    for (std::size_t i = 0; i + 3 < name_bytes; i += 2) entry.name += raw[i + 1] == 0 ? raw[i] : '?';
    entry.storage = raw[66] == 1 || raw[66] == 5;
    entry.left = u32_of(raw, 68);
    entry.right = u32_of(raw, 72);
    entry.child = u32_of(raw, 76);
    entry.start = u32_of(raw, 116);
    entry.size = u32_of(raw, 120);
    entries_.push_back(std::move(entry));
  }
  if (entries_.empty()) return damaged();
  if (u32(60) < kSectorsMax) {
    BULKHEAD_TRY(mini, read_chain(u32(60)));
    for (std::size_t at = 0; at + 4 <= mini.size(); at += 4) mini_fat_.push_back(u32_of(mini, at));
    BULKHEAD_TRY(content, read_chain(entries_.front().start));
    mini_stream_ = std::move(content);
  }
  return Result<void>();
}

Result<std::vector<std::uint32_t>> CompoundFile::chain(std::uint32_t first,
                                                       const std::vector<std::uint32_t>& table) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t at = first; at < kSectorsMax; at = table[at]) {
    // A chain longer than all sectors runs in a circle.
    if (at >= table.size() || out.size() >= table.size()) return damaged();
    out.push_back(at);
  }
  return out;
}

Result<std::string> CompoundFile::read_chain(std::uint32_t first) const {
  BULKHEAD_TRY(numbers, chain(first, fat_));
  std::string out;
  for (std::uint32_t number : numbers) out += sector(number);
  return out;
}

std::vector<const CompoundFile::Entry*> CompoundFile::children(const Entry& storage) const {
  std::vector<const Entry*> out;
  std::vector<bool> seen(entries_.size());
  std::vector<std::uint32_t> open = {storage.child};
  while (!open.empty()) {
    std::uint32_t at = open.back();
    open.pop_back();
    if (at == 0 || at >= entries_.size() || seen[at]) continue;
    seen[at] = true;
    out.push_back(&entries_[at]);
    open.push_back(entries_[at].right);
    open.push_back(entries_[at].left);
  }
  // By name: attachments are numbered.
  std::sort(out.begin(), out.end(), [](const Entry* a, const Entry* b) { return a->name < b->name; });
  return out;
}

const CompoundFile::Entry* CompoundFile::child(const Entry& storage, std::string_view name) const {
  for (const Entry* entry : children(storage)) {
    if (entry->name == name) return entry;
  }
  return nullptr;
}

Result<std::string> CompoundFile::stream(const Entry& entry) const {
  if (entry.size > bytes_.size()) return damaged();
  read_ += entry.size;
  if (read_ > kReadBytesMax)
    return Error(ExtractionError::TooLarge, "The message is too large. Save its attachments as files.");
  std::string out;
  if (entry.size < kMiniStreamMax) {
    BULKHEAD_TRY(numbers, chain(entry.start, mini_fat_));
    for (std::uint32_t number : numbers) {
      std::size_t at = std::size_t{number} * kMiniBytes;
      if (at < mini_stream_.size()) out += std::string_view(mini_stream_).substr(at, kMiniBytes);
    }
  } else {
    BULKHEAD_TRY(content, read_chain(entry.start));
    out = std::move(content);
  }
  if (out.size() < entry.size) return damaged();
  out.resize(entry.size);
  return out;
}

}  // namespace bulkhead::extract
