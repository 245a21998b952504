// Burn: erasing what a sequence leaves in an inference context (invariant I5).
//
// The K and V rows of the sequence's own stream are zeroed on the tensors themselves and read back;
// then compute, work and output buffers and the retained batch are cleared
// (third_party/llama-patches/0001-scrub.patch). Heap blocks of sampler, tokenizer and our own vectors
// are cleared as they are freed (base/scrub_heap.cc).
// Used by the thread that owns the context.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace bulkhead::inference {

struct BurnResult {
  std::uint64_t kv_bytes_zeroed = 0;
  std::uint64_t kv_bytes_nonzero_after = 0;
  std::uint64_t tokens_erased = 0;
  std::uint64_t tokens_kept = 0;  // rows that stay for the same prefix key, by the tenant's policy
  std::uint64_t micros = 0;
  bool verified = false;
  // Sums; verified when every part is.
  void add(const BurnResult& more);
};
std::string burn_json(const BurnResult& result);

// Finds the cache tensors of a context while it decodes. Set as cb_eval; the object must outlive the
// context.
class CacheTensors {
 public:
  static bool on_eval(ggml_tensor* tensor, bool ask, void* self);
  const std::vector<ggml_tensor*>& all() const { return tensors_; }

 private:
  void look_at(ggml_tensor* tensor);
  std::vector<ggml_tensor*> tensors_;
};

class Burner {
 public:
  Burner(llama_context* context, const CacheTensors& tensors, bool enabled)
      : context_(context), tensors_(tensors), enabled_(enabled) {}

  // Erases the sequence's cells; `tokens` is the number of cells that it ever held.
  BurnResult erase_sequence(llama_seq_id sequence, std::uint64_t tokens) const;
  // Clears shared buffers. Pending logits of every sequence are gone afterwards.
  void scrub_shared() const;

 private:
  llama_context* context_;
  const CacheTensors& tensors_;
  bool enabled_;
};

}  // namespace bulkhead::inference
