// Helpers of the extractor's tests: the demo's documents, and containers made in memory.
#pragma once

#include <gtest/gtest.h>
#include <zip.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

inline std::filesystem::path corpus() { return std::filesystem::path(BULKHEAD_SOURCE_DIR) / "demo/corpus"; }

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The demo's documents of one ending.
inline std::vector<std::filesystem::path> corpus_files(const std::string& ending) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(corpus())) {
    bool is_source = entry.path().string().find("/sources/") != std::string::npos ||
                     entry.path().filename() == "README.md";
    if (entry.path().extension() == ending && !is_source) files.push_back(entry.path());
  }
  return files;
}

// A zip of the named parts. `password` encrypts them.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& parts,
                          const char* password = nullptr) {
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, nullptr);
  zip_source_keep(target);
  zip_t* archive = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, content] : parts) {
    auto at = zip_file_add(archive, name.c_str(),
                           zip_source_buffer(archive, content.data(), content.size(), 0), ZIP_FL_OVERWRITE);
    if (password) zip_file_set_encryption(archive, static_cast<zip_uint64_t>(at), ZIP_EM_AES_256, password);
  }
  EXPECT_EQ(zip_close(archive), 0);
  zip_stat_t info;
  zip_source_stat(target, &info);
  std::string bytes(info.size, '\0');
  zip_source_open(target);
  zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  zip_source_free(target);
  return bytes;
}

inline std::string docx_of(const std::string& body,
                           std::vector<std::pair<std::string, std::string>> more = {}) {
  more.insert(more.begin(),
              {"word/document.xml", "<w:document xmlns:w='w'><w:body>" + body + "</w:body></w:document>"});
  return zip_of(more);
}

// One line a block: "heading 2: Dose".
inline std::string outline(const base::Result<Document>& document) {
  if (!document) return "error " + std::string(document.error().name().code);
  std::string out;
  for (const Block& block : document->blocks) {
    out += std::string(block_kind_name(block.kind)) +
           (block.level > 0 ? " " + std::to_string(block.level) : "") + ": " + block.text + "\n";
  }
  return out;
}

inline std::string error_code(const base::Result<Document>& document) {
  return document ? "none" : std::string(document.error().name().code);
}

inline std::string all_text(const Document& document) {
  std::string text;
  for (const Block& block : document.blocks) text += block.text + "\n";
  return text;
}

}  // namespace bulkhead::extract
