// Burn: erasing what a sequence leaves in an inference context (invariant I5).
//
// The K and V rows of the sequence's own stream are zeroed on the tensors themselves and read back; compute,
// work and output buffers are cleared and read back and the retained batch is freed
// (third_party/llama-patches/0001-scrub.patch). Heap blocks of sampler, tokenizer and our own vectors are
// cleared as they are freed (base/scrub_heap.cc). Each call gives a base::BurnReport of what it did and
// found. Used by the thread that owns the context.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/burn_report.h"
#include "ggml-backend.h"
#include "llama-ext.h"
#include "llama.h"

namespace bulkhead::inference {

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

// How memory is overwritten. A parameter, so that tests can show what follows when it fails.
struct Eraser {
  std::function<void(ggml_tensor*, std::size_t offset, std::size_t bytes)> zero_rows;
  std::function<llama_scrub_report(llama_context*)> scrub_context;
  static Eraser real();
};

// A report of this process, before anything was cleared: with `burn` off all that there will be.
base::BurnReport new_burn_report(bool burn);
// Zeroes the bytes, reads them back, and enters it into the report.
void clear_and_check(void* data, std::size_t bytes, base::Memory memory, base::BurnReport& report);
// Clears what outlives a decode in the context, beside the rows. Pending logits are gone afterwards.
base::BurnReport scrub_context(llama_context* context, bool burn, const Eraser& eraser);
// Nothing that was overwritten was found other than zero, and nothing was left unread.
bool all_proven(const base::BurnReport& report);

class Burner {
 public:
  Burner(llama_context* context, const CacheTensors& tensors, bool enabled, const Eraser& eraser)
      : context_(context), tensors_(tensors), enabled_(enabled), eraser_(eraser) {}

  // Erases the sequence's cells; `tokens` is the number of cells that it ever held.
  base::BurnReport erase_sequence(llama_seq_id sequence, std::uint64_t tokens) const;
  // Clears shared buffers. Pending logits of every sequence are gone afterwards.
  base::BurnReport scrub_shared() const { return scrub_context(context_, enabled_, eraser_); }

 private:
  llama_context* context_;
  const CacheTensors& tensors_;
  bool enabled_;
  const Eraser& eraser_;
};

}  // namespace bulkhead::inference
