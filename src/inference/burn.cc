#include "inference/burn.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/json.h"
#include "base/log.h"
#include "ggml.h"
#include "llama-ext.h"

namespace bulkhead::inference {

namespace {

// Cells are handed out in order from the stream's start. That is llama.cpp's doing, so it is looked at: these
// cells behind the used ones must be empty, or the whole stream is erased.
constexpr std::uint64_t kCellsBehind = 64;
constexpr std::size_t kReadBytes = 256 << 10;

bool is_cache_name(const char* name) {
  return std::strncmp(name, "cache_k_l", 9) == 0 || std::strncmp(name, "cache_v_l", 9) == 0;
}

std::uint64_t nonzero_bytes(const char* at, std::size_t bytes) {
  // Whole words first: all-zero memory is the normal case.
  if (bytes == 0 || (at[0] == 0 && std::memcmp(at, at + 1, bytes - 1) == 0)) return 0;
  return bytes - static_cast<std::uint64_t>(std::count(at, at + bytes, '\0'));
}

bool is_host(const ggml_tensor* tensor) {
  return tensor->buffer && ggml_backend_buffer_is_host(tensor->buffer);
}

std::uint64_t nonzero_bytes(const ggml_tensor* tensor, std::size_t offset, std::size_t bytes) {
  if (is_host(tensor)) return nonzero_bytes(static_cast<const char*>(tensor->data) + offset, bytes);
  std::vector<char> buffer(std::min(bytes, kReadBytes));
  std::uint64_t found = 0;
  while (bytes > 0) {
    std::size_t piece = std::min(bytes, buffer.size());
    ggml_backend_tensor_get(tensor, buffer.data(), offset, piece);
    found += nonzero_bytes(buffer.data(), piece);
    offset += piece;
    bytes -= piece;
  }
  return found;
}

void zero(ggml_tensor* tensor, std::size_t offset, std::size_t bytes) {
  if (is_host(tensor)) {
    std::memset(static_cast<char*>(tensor->data) + offset, 0, bytes);
  } else {
    std::vector<char> zeros(bytes, 0);
    ggml_backend_tensor_set(tensor, zeros.data(), offset, bytes);
  }
}

}  // namespace

void BurnResult::add(const BurnResult& more) {
  bool first = tokens_erased == 0 && kv_bytes_zeroed == 0 && micros == 0;
  verified = more.verified && (first || verified);
  kv_bytes_zeroed += more.kv_bytes_zeroed;
  kv_bytes_nonzero_after += more.kv_bytes_nonzero_after;
  tokens_erased += more.tokens_erased;
  tokens_kept += more.tokens_kept;
  micros += more.micros;
}

std::string burn_json(const BurnResult& result) {
  base::json::Writer w;
  w.begin_object()
      .member("verified", result.verified)
      .member("kv_bytes_zeroed", result.kv_bytes_zeroed)
      .member("kv_bytes_read_back_nonzero", result.kv_bytes_nonzero_after)
      .member("tokens_erased", result.tokens_erased)
      .member("tokens_kept", result.tokens_kept);
  w.key("buffers_cleared").begin_array();
  if (result.verified) {
    for (const char* name : {"compute", "work", "logits", "batch", "graph"}) w.value(name);
  }
  w.end_array().member("micros", result.micros).end_object();
  return w.take();
}

bool CacheTensors::on_eval(ggml_tensor* tensor, bool, void* self) {
  auto* tensors = static_cast<CacheTensors*>(self);
  // After the first graph all are known.
  if (tensor) {
    tensors->look_at(tensor);
    for (ggml_tensor* source : tensor->src) {
      if (source) tensors->look_at(source);
    }
  }
  return false;
}

void CacheTensors::look_at(ggml_tensor* tensor) {
  while (tensor->view_src) tensor = tensor->view_src;
  if (!is_cache_name(tensor->name) || tensor->op != GGML_OP_NONE || !tensor->buffer) return;
  if (ggml_backend_buffer_get_usage(tensor->buffer) == GGML_BACKEND_BUFFER_USAGE_COMPUTE) return;
  if (std::find(tensors_.begin(), tensors_.end(), tensor) == tensors_.end()) tensors_.push_back(tensor);
}

BurnResult Burner::erase_sequence(llama_seq_id sequence, std::uint64_t tokens) const {
  auto began = std::chrono::steady_clock::now();
  BurnResult result;
  result.tokens_erased = tokens;
  llama_memory_seq_rm(llama_get_memory(context_), sequence, -1, -1);
  if (!enabled_) return result;
  llama_synchronize(context_);
  auto stream = static_cast<std::size_t>(sequence);
  for (ggml_tensor* tensor : tensors_.all()) {
    // Shape: row width, cells, streams; rows of one stream lie one after another.
    const auto cells = static_cast<std::uint64_t>(tensor->ne[1]);
    const std::size_t row = tensor->nb[1], begin = stream * tensor->nb[2];
    std::uint64_t erased = std::min(tokens, cells);
    const std::uint64_t behind = std::min(kCellsBehind, cells - erased);
    zero(tensor, begin, erased * row);
    if (nonzero_bytes(tensor, begin + erased * row, behind * row) != 0) {
      base::log::warning("burn_found_cells_behind", {{"tokens", static_cast<std::int64_t>(tokens)}});
      erased = cells;
      zero(tensor, begin, erased * row);
    }
    result.kv_bytes_zeroed += erased * row;
    result.kv_bytes_nonzero_after += nonzero_bytes(tensor, begin, erased * row);
  }
  result.verified = !tensors_.all().empty() && result.kv_bytes_nonzero_after == 0;
  result.micros = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)
          .count());
  return result;
}

void Burner::scrub_shared() const {
  if (enabled_) llama_context_scrub(context_);
}

}  // namespace bulkhead::inference
