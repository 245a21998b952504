#include "inference/burn.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/bytes.h"
#include "base/log.h"
#include "base/scrub.h"
#include "ggml.h"

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

std::uint64_t micros_since(std::chrono::steady_clock::time_point began) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began)
          .count());
}

}  // namespace

Eraser Eraser::real() { return {zero, &llama_context_scrub}; }

base::BurnReport new_burn_report(bool burn) {
  base::BurnReport report;
  report.engine = "worker";
  report.rows = burn ? base::RowsFate::NothingKept : base::RowsFate::Skipped;
  report.reuse = base::RowsReuse::None;
  report.heap_wiped_on_free = base::heap_scrubbing_linked() && base::heap_scrubbing();
  return report;
}

void clear_and_check(void* data, std::size_t bytes, base::Memory memory, base::BurnReport& report) {
  if (bytes > 0) base::wipe(data, bytes);
  base::ClearedMemory entry{.memory = memory, .bytes = bytes, .read_back = bytes};
  entry.nonzero = nonzero_bytes(static_cast<const char*>(data), bytes);
  report.add(entry);
}

base::BurnReport scrub_context(llama_context* context, bool burn, const Eraser& eraser) {
  base::BurnReport report = new_burn_report(burn);
  if (!burn) return report;
  const auto began = std::chrono::steady_clock::now();
  const llama_scrub_report done = eraser.scrub_context(context);
  auto enter = [&report](base::Memory memory, const llama_scrub_part& part) {
    report.add(
        {.memory = memory, .bytes = part.cleared, .read_back = part.read_back, .nonzero = part.nonzero});
  };
  enter(base::Memory::Compute, done.compute);
  enter(base::Memory::Work, done.work);
  enter(base::Memory::Output, done.output);
  report.add({.memory = base::Memory::Objects, .method = base::ClearMethod::Freed, .objects = done.freed});
  report.micros = micros_since(began);
  return report;
}

bool all_proven(const base::BurnReport& report) {
  return std::all_of(report.cleared.begin(), report.cleared.end(),
                     [](const base::ClearedMemory& entry) { return entry.proven(); });
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

base::BurnReport Burner::erase_sequence(llama_seq_id sequence, std::uint64_t tokens) const {
  const auto began = std::chrono::steady_clock::now();
  base::BurnReport report = new_burn_report(enabled_);
  llama_memory_seq_rm(llama_get_memory(context_), sequence, -1, -1);
  if (!enabled_) return report;
  report.tokens_erased = tokens;
  llama_synchronize(context_);
  base::ClearedMemory entry{.memory = base::Memory::KvRows};
  const auto stream = static_cast<std::size_t>(sequence);
  for (ggml_tensor* tensor : tensors_.all()) {
    // Shape: row width, cells, streams; rows of one stream lie one after another.
    const auto cells = static_cast<std::uint64_t>(tensor->ne[1]);
    const std::size_t row = tensor->nb[1], begin = stream * tensor->nb[2];
    std::uint64_t erased = std::min(tokens, cells);
    const std::uint64_t behind = std::min(kCellsBehind, cells - erased);
    eraser_.zero_rows(tensor, begin, erased * row);
    if (nonzero_bytes(tensor, begin + erased * row, behind * row) != 0) {
      base::log::warning("burn_found_cells_behind", {{"tokens", static_cast<std::int64_t>(tokens)}});
      erased = cells;
      eraser_.zero_rows(tensor, begin, erased * row);
    }
    entry.bytes += erased * row;
    entry.nonzero += nonzero_bytes(tensor, begin, erased * row);
    entry.read_back += erased * row;
  }
  report.add(entry);
  const bool zeroed = !tensors_.all().empty() && entry.proven();
  report.rows = zeroed ? base::RowsFate::Zeroed : base::RowsFate::Failed;
  report.micros = micros_since(began);
  return report;
}

}  // namespace bulkhead::inference
