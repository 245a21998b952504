// Compound files (MS-CFB) made in memory: version 3, sectors of 512 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bulkhead::extract {

class CompoundMaker {
 public:
  CompoundMaker() { entries_.push_back({"Root Entry", true, "", 0}); }

  // Gives the storage's number, for what it holds; 0 is the root.
  std::size_t storage(std::size_t parent, const std::string& name) {
    entries_.push_back({name, true, "", parent});
    return entries_.size() - 1;
  }
  void stream(std::size_t parent, const std::string& name, const std::string& content) {
    entries_.push_back({name, false, content, parent});
  }
  // A property's text in UTF-16, from ASCII.
  void text(std::size_t parent, const std::string& property, const std::string& ascii) {
    std::string wide;
    for (char c : ascii) wide += {c, '\0'};
    stream(parent, "__substg1.0_" + property + "001F", wide);
  }

  std::string bytes() const {
    std::string mini, sectors;
    std::vector<std::uint32_t> mini_fat, fat, starts(entries_.size(), kEnd);
    auto put = [&sectors, &fat](const std::string& content) {
      if (content.empty()) return kEnd;
      auto first = static_cast<std::uint32_t>(fat.size());
      sectors += content;
      sectors.resize((sectors.size() + 511) / 512 * 512);
      while (fat.size() < sectors.size() / 512) fat.push_back(static_cast<std::uint32_t>(fat.size() + 1));
      fat.back() = kEnd;
      return first;
    };
    for (std::size_t i = 1; i < entries_.size(); ++i) {
      const std::string& content = entries_[i].content;
      if (content.size() >= 4'096) {
        starts[i] = put(content);
      } else if (!content.empty()) {
        starts[i] = static_cast<std::uint32_t>(mini_fat.size());
        mini += content;
        mini.resize((mini.size() + 63) / 64 * 64);
        while (mini_fat.size() < mini.size() / 64)
          mini_fat.push_back(static_cast<std::uint32_t>(mini_fat.size() + 1));
        mini_fat.back() = kEnd;
      }
    }
    starts[0] = put(mini);
    std::string mini_table;
    for (std::uint32_t number : mini_fat) add32(mini_table, number);
    std::uint32_t mini_start = put(mini_table), directory_start = put(directory(starts, mini.size()));
    // One sector of the table holds 128 numbers; its own comes last.
    auto table_sectors = static_cast<std::uint32_t>((fat.size() + 130) / 127);
    auto table_start = static_cast<std::uint32_t>(fat.size());
    for (std::uint32_t i = 0; i < table_sectors; ++i) fat.push_back(0xFFFFFFFD);
    std::string table;
    for (std::uint32_t number : fat) add32(table, number);
    table.resize(table_sectors * 512, '\xFF');
    std::string header("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
    header.resize(24);
    header += std::string("\x3E\0\x03\0\xFE\xFF\x09\0\x06\0", 10);
    header.resize(44);
    add32(header, table_sectors);
    add32(header, directory_start);
    add32(header, 0);
    add32(header, 4'096);
    add32(header, mini_start);
    add32(header, 1);
    add32(header, kEnd);
    add32(header, 0);
    for (std::uint32_t i = 0; i < 109; ++i) add32(header, i < table_sectors ? table_start + i : 0xFFFFFFFF);
    return header + sectors + table;
  }

 private:
  static constexpr std::uint32_t kEnd = 0xFFFFFFFE;
  struct Entry {
    std::string name;
    bool storage;
    std::string content;
    std::size_t parent;
  };

  static void add32(std::string& out, std::uint32_t number) {
    for (int i = 0; i < 4; ++i) out += static_cast<char>(number >> (8 * i) & 0xFF);
  }

  // Children of one storage hang on each other's right.
  std::string directory(const std::vector<std::uint32_t>& starts, std::size_t mini_bytes) const {
    std::string out;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      std::uint32_t child = 0xFFFFFFFF, right = 0xFFFFFFFF;
      for (std::size_t j = entries_.size(); j-- > 1;) {
        if (j != i && entries_[j].parent == i) child = static_cast<std::uint32_t>(j);
        if (i > 0 && j > i && entries_[j].parent == entries_[i].parent) right = static_cast<std::uint32_t>(j);
      }
      std::string entry;
      for (char c : entries_[i].name) entry += {c, '\0'};
      entry.resize(64);
      entry += static_cast<char>((entries_[i].name.size() + 1) * 2);
      entry += '\0';
      entry += static_cast<char>(i == 0 ? 5 : entries_[i].storage ? 1 : 2);
      entry += '\1';
      add32(entry, 0xFFFFFFFF);
      add32(entry, right);
      add32(entry, child);
      entry.resize(116);
      add32(entry, starts[i]);
      add32(entry, static_cast<std::uint32_t>(i == 0 ? mini_bytes : entries_[i].content.size()));
      add32(entry, 0);
      out += entry;
    }
    return out;
  }

  std::vector<Entry> entries_;
};

}  // namespace bulkhead::extract
