// What every backend of TenantStore must find by keyword, and must not tell; plugged in as store_contract.h
// says.
#pragma once

#include <algorithm>

#include "storage/index_terms.h"
#include "store_contract.h"

namespace bulkhead::storage {

template <typename Backend>
class StoreSearchContract : public StoreContract<Backend> {
 protected:
  void put_text(std::string_view id, const std::vector<std::string>& texts) {
    this->put(id);
    std::vector<Chunk> chunks;
    for (const std::string& text : texts) {
      Chunk chunk{.file = file_id(id)};
      chunk.ordinal = static_cast<std::uint32_t>(chunks.size());
      chunk.text = text;
      chunks.push_back(std::move(chunk));
    }
    ASSERT_OK(this->store->replace_chunks(*this->own, file_id(id), chunks, sample_vectors(chunks.size())));
  }
  std::vector<LexicalHit> search(const std::vector<std::string>& words,
                                 const std::vector<base::FileId>& files) {
    return must(this->store->search_text(*this->own, words, files, 50));
  }
  // Texts found by what is special in the question, best first.
  std::vector<std::string> found(std::string_view question) {
    std::vector<ChunkKey> keys;
    for (const LexicalHit& hit : search(special_terms(normalized(question), 32), {file_id("f1")})) {
      keys.push_back(hit.key);
    }
    std::vector<std::string> texts;
    for (const Chunk& chunk : must(this->store->get_chunks(*this->own, keys))) texts.push_back(chunk.text);
    return texts;
  }
};

TYPED_TEST_SUITE_P(StoreSearchContract);

// AISVS 8.1: neither order nor score tells what the asker may not read.
TYPED_TEST_P(StoreSearchContract, FilesThatAreNotAskedForChangeNoScore) {
  this->put_text("f1", {"The lease of the ward ends in May.", "The lease is long. The lease is dear.",
                        "A ward with a garden.", "Nothing of the kind."});
  const std::vector<std::string> words = {"lease", "garden"};
  const auto before = this->search(words, {file_id("f1")});
  ASSERT_EQ(before.size(), 3u);
  std::vector<std::string> others(40, "garden garden garden of another kind, and a very long text beside it");
  others.resize(80, "lease");
  this->put_text("f2", others);
  const auto after = this->search(words, {file_id("f1")});
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].key, before[i].key) << i;
    EXPECT_EQ(after[i].score, before[i].score) << i;
  }
  // Control: where they may be read they count.
  const auto both = this->search(words, {file_id("f1"), file_id("f2")});
  const auto same = std::find_if(both.begin(), both.end(), [&](const LexicalHit& hit) {
    return hit.key == before[0].key && hit.score == before[0].score;
  });
  EXPECT_EQ(same, both.end());
}

TYPED_TEST_P(StoreSearchContract, NumbersCodesAndOtherScriptsAreFound) {
  this->put_text(
      "f1", {"a dose of 12.5 mg", "a dose of 125 mg", "file A-1043/22 of the court",
             "\u60a3\u8005\u6709\u7cd6\u5c3f\u75c5\u53f2",
             "\u05D4\u05D7\u05D5\u05D6\u05D4 \u05E0\u05D7\u05EA\u05DD",
             "\u0e1c\u0e39\u0e49\u0e1b\u0e48\u0e27\u0e22\u0e42\u0e23\u0e04\u0e2b\u0e31\u0e27\u0e43\u0e08"});
  using Texts = std::vector<std::string>;
  EXPECT_EQ(this->found("12.5mg").front(), "a dose of 12.5 mg") << "the other holds the unit alone";
  EXPECT_EQ(this->found("12.5"), Texts{"a dose of 12.5 mg"});
  EXPECT_EQ(this->found("A\u20111043/22"), Texts{"file A-1043/22 of the court"});
  EXPECT_EQ(this->found("\u7cd6\u5c3f\u75c5"), Texts{"\u60a3\u8005\u6709\u7cd6\u5c3f\u75c5\u53f2"});
  EXPECT_EQ(this->found("\u05D1\u05D7\u05D5\u05D6\u05D4"),
            Texts{"\u05D4\u05D7\u05D5\u05D6\u05D4 \u05E0\u05D7\u05EA\u05DD"});
  EXPECT_EQ(this->found("\u0e42\u0e23\u0e04\u0e2b\u0e31\u0e27\u0e43\u0e08").size(), 1u);
  EXPECT_TRUE(this->found("13.5 mg").empty()) << "control";
  EXPECT_TRUE(this->found("\u9ad8\u8840\u538b").empty()) << "control";
}

REGISTER_TYPED_TEST_SUITE_P(StoreSearchContract, FilesThatAreNotAskedForChangeNoScore,
                            NumbersCodesAndOtherScriptsAreFound);

}  // namespace bulkhead::storage
