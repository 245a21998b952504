// Every document of the demo, read by its format's reader.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/json.h"
#include "support.h"

namespace bulkhead::extract {
namespace {

namespace json = base::json;

base::Result<Document> read(const std::filesystem::path& path) {
  return extract_any(path.filename().string(), slurp(path), Limits{});
}

TEST(Corpus, EveryDocumentGivesATitleHeadingsAndText) {
  prepare_pdf();
  std::size_t read_count = 0;
  for (const char* ending : {".pdf", ".docx", ".html", ".md", ".txt"}) {
    auto files = corpus_files(ending);
    EXPECT_FALSE(files.empty()) << ending;
    for (const auto& file : files) {
      auto document = read(file);
      ASSERT_TRUE(document) << file << ": " << document.error().describe();
      ++read_count;
      EXPECT_FALSE(document->title.empty()) << file;
      auto headings = std::count_if(document->blocks.begin(), document->blocks.end(),
                                    [](const Block& block) { return block.kind == BlockKind::Heading; });
      EXPECT_GE(headings, 4) << file;
      EXPECT_GT(all_text(*document).size(), 1'500u) << file;
      for (const Block& block : document->blocks) {
        EXPECT_EQ(block.page > 0, document->type == "pdf") << file;
        EXPECT_EQ(clean_text(block.text, true), block.text) << file;
        EXPECT_EQ(block.text.find("\uFFFD"), std::string::npos) << file << ": " << block.text;
      }
    }
  }
  EXPECT_EQ(read_count, 36u);
}

TEST(Corpus, WhatIsNotPartOfAPageDoesNotSurvive) {
  std::string listing =
      slurp(std::filesystem::path(BULKHEAD_SOURCE_DIR) / "tests/retrieval/stripped_strings.json");
  auto stripped = json::Document::parse(listing);
  ASSERT_TRUE(stripped);
  ASSERT_GT(stripped->root().size(), 0u);
  for (std::size_t i = 0; i < stripped->root().size(); ++i) {
    std::filesystem::path path = corpus() / std::string(stripped->root().key_at(i));
    std::string source = slurp(path);
    auto document = read(path);
    ASSERT_TRUE(document) << path;
    json::Value strings = stripped->root().at(i);
    for (std::size_t j = 0; j < strings.size(); ++j) {
      std::string text(*strings.at(j).as_string());
      EXPECT_NE(source.find(text), std::string::npos) << "control: " << path << " holds " << text;
      EXPECT_EQ(all_text(*document).find(text), std::string::npos) << path << ": " << text;
    }
  }
}

std::string headings_of(const Document& document) {
  std::string out;
  for (const Block& block : document.blocks) {
    if (block.kind == BlockKind::Heading) out += block.text + "\n";
  }
  return out;
}

TEST(Corpus, PdfHeadingsAndPages) {
  prepare_pdf();
  auto document = read(corpus() / "st-brannoc/veltrane-prescribing-protocol.pdf");
  ASSERT_TRUE(document);
  std::string headings = headings_of(*document);
  for (const char* heading : {"1. Who this protocol is for", "3. Dose", "4. Liver monitoring", "8. Audit"}) {
    EXPECT_NE(headings.find(std::string(heading) + "\n"), std::string::npos) << heading;
  }
  EXPECT_EQ(document->blocks.front().page, 1u);
  EXPECT_EQ(document->blocks.back().page, 2u);
}

TEST(Corpus, PdfTablesNameTheirColumns) {
  prepare_pdf();
  auto document = read(corpus() / "calder-rowe/hartnell-v-merrow-case-memo.pdf");
  ASSERT_TRUE(document);
  EXPECT_NE(all_text(*document).find(
                "Claimant: Peter Vasko, 54; Took Veltrane: 9 September 2022 to 30 January 2023; "
                "Injury: Liver failure, transplant in March 2023; Pleaded value: \u00A31,060,000\n"),
            std::string::npos);
}

}  // namespace
}  // namespace bulkhead::extract
