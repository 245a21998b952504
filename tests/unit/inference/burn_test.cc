#include "inference/burn.h"

#include <numeric>

#include "support.h"

namespace bulkhead::inference {
namespace {

// A context of two streams which holds some tokens in each.
class BurnTest : public testing::Test {
 protected:
  BurnTest() {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = 2 * kCells;
    params.n_batch = params.n_ubatch = 128;
    params.n_seq_max = 2;
    params.n_threads = params.n_threads_batch = 1;
    params.kv_unified = false;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
    params.cb_eval = &CacheTensors::on_eval;
    params.cb_eval_user_data = &tensors_;
    context_ = llama_init_from_model(test::model().handle(), params);
    llama_batch batch = llama_batch_init(2 * kTokens, 0, 1);
    for (int i = 0; i < 2 * kTokens; ++i) {
      batch.token[i] = 100 + i;
      batch.pos[i] = i % kTokens;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = i / kTokens;
      batch.logits[i] = 0;
    }
    batch.n_tokens = 2 * kTokens;
    EXPECT_EQ(llama_decode(context_, batch), 0);
    llama_synchronize(context_);
    llama_batch_free(batch);
  }
  ~BurnTest() override { llama_free(context_); }

  std::uint64_t nonzero(int stream) const {
    std::uint64_t found = 0;
    for (const ggml_tensor* tensor : tensors_.all()) {
      std::vector<char> slab(tensor->nb[2]);
      ggml_backend_tensor_get(tensor, slab.data(), static_cast<std::size_t>(stream) * tensor->nb[2],
                              slab.size());
      found += slab.size() - static_cast<std::uint64_t>(std::count(slab.begin(), slab.end(), '\0'));
    }
    return found;
  }
  std::uint64_t row_bytes() const {
    return std::accumulate(tensors_.all().begin(), tensors_.all().end(), std::uint64_t{0},
                           [](std::uint64_t sum, const ggml_tensor* t) { return sum + t->nb[1]; });
  }

  Burner burner(bool enabled) const { return Burner(context_, tensors_, enabled, eraser_); }
  static base::ClearedMemory rows_of(const base::BurnReport& report) {
    const base::ClearedMemory* rows = report.find(base::Memory::KvRows);
    return rows ? *rows : base::ClearedMemory();
  }

  static constexpr int kTokens = 40;
  static constexpr std::uint32_t kCells = 512;
  CacheTensors tensors_;
  llama_context* context_ = nullptr;
  Eraser eraser_ = Eraser::real();
};

TEST_F(BurnTest, Aisvs_4_2_4_ErasesOneSequencesRowsAndNoOther) {
  const std::uint64_t neighbour = nonzero(1);
  ASSERT_GT(nonzero(0), 0u) << "control: there is something";
  base::BurnReport result = burner(true).erase_sequence(0, kTokens);
  EXPECT_TRUE(result.verified());
  EXPECT_EQ(nonzero(0), 0u);
  EXPECT_EQ(nonzero(1), neighbour);
  EXPECT_EQ(rows_of(result).bytes, kTokens * row_bytes()) << "the cells that were used, and only those";
}

TEST_F(BurnTest, Aisvs_4_2_4_ACellFurtherOnMakesItEraseTheWholeStream) {
  ggml_tensor* odd = tensors_.all().back();
  const char planted = 'x';
  ggml_backend_tensor_set(odd, &planted, (kTokens + 20) * odd->nb[1], 1);
  base::BurnReport result = burner(true).erase_sequence(0, kTokens);
  EXPECT_TRUE(result.verified());
  EXPECT_EQ(nonzero(0), 0u);
  EXPECT_EQ(rows_of(result).bytes, kTokens * row_bytes() + (kCells - kTokens) * odd->nb[1]);
}

TEST_F(BurnTest, ControlWithoutBurningTheRowsStay) {
  const std::uint64_t before = nonzero(0);
  base::BurnReport result = burner(false).erase_sequence(0, kTokens);
  EXPECT_FALSE(result.verified());
  EXPECT_EQ(result.rows, base::RowsFate::Skipped);
  EXPECT_TRUE(result.cleared.empty()) << "nothing is listed that was not done";
  EXPECT_EQ(nonzero(0), before);
}

TEST_F(BurnTest, AByteLeftBehindIsReportedAndNotVerified) {
  eraser_.zero_rows = [](ggml_tensor* tensor, std::size_t offset, std::size_t bytes) {
    if (bytes > 1) Eraser::real().zero_rows(tensor, offset, bytes - 1);
    const char left = 'x';
    ggml_backend_tensor_set(tensor, &left, offset + bytes - 1, 1);
  };
  base::BurnReport result = burner(true).erase_sequence(0, kTokens);
  EXPECT_FALSE(result.verified());
  EXPECT_EQ(result.rows, base::RowsFate::Failed);
  EXPECT_EQ(rows_of(result).nonzero, tensors_.all().size()) << "one of each tensor";
  EXPECT_EQ(rows_of(result).read_back, rows_of(result).bytes);
}

TEST_F(BurnTest, SharedMemoryIsClearedReadBackAndCounted) {
  base::BurnReport result = burner(true).scrub_shared();
  for (base::Memory memory : {base::Memory::Compute, base::Memory::Work}) {
    const base::ClearedMemory* entry = result.find(memory);
    ASSERT_NE(entry, nullptr) << base::memory_name(memory);
    EXPECT_GT(entry->bytes, 0u) << base::memory_name(memory);
    EXPECT_TRUE(entry->proven()) << base::memory_name(memory);
  }
  EXPECT_EQ(result.find(base::Memory::KvRows), nullptr) << "it cleared no rows, and says so";
  EXPECT_FALSE(result.verified());
  EXPECT_TRUE(burner(false).scrub_shared().cleared.empty()) << "control: what is not done is not listed";
}

TEST_F(BurnTest, WhatTheScrubDidNotClearIsNotProven) {
  auto real = Eraser::real().scrub_context;
  eraser_.scrub_context = [&](llama_context* context) {
    llama_scrub_report report = real(context);
    report.output = {.cleared = 10, .read_back = 10, .nonzero = 1};
    return report;
  };
  EXPECT_FALSE(all_proven(burner(true).scrub_shared()));
  eraser_.scrub_context = [&](llama_context* context) {
    llama_scrub_report report = real(context);
    report.output = {.cleared = 10, .read_back = 9, .nonzero = 0};
    return report;
  };
  EXPECT_FALSE(all_proven(burner(true).scrub_shared())) << "not looked at is not proven either";
  eraser_ = Eraser::real();
  EXPECT_TRUE(all_proven(burner(true).scrub_shared())) << "control";
}

}  // namespace
}  // namespace bulkhead::inference
