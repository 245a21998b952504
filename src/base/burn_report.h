// BurnReport: what was done to the memory that a request left in an engine, and what was checked afterwards.
//
// One value goes from where memory is cleared (inference/burn.h, inference/prefix_cache.h, the adapters of
// external engines) to the signed receipt (gateway/receipts.h). It holds only what was done and measured:
// whoever clears something adds an entry, and nobody else does. Between worker and gateway it travels in the
// form that `write` gives and `read` takes (docs/engine-protocol.md); the receipt holds the same form.
// Thread safety: a value. Units: bytes, tokens, microseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace bulkhead::base {

// What became of the request's K and V rows, from the best to the worst.
enum class RowsFate : std::uint8_t {
  NothingKept,  // it was looked for, and there was none
  Zeroed,       // overwritten with zeros, and read back as zeros
  Forgotten,  // an external server confirmed that its slot is empty; the bytes stay until it writes over them
  Unreachable,   // no later request can match them; the bytes stay likewise
  Kept,          // left for later requests, which `reuse` names
  NotErasedYet,  // erasing failed or is under way; nobody else gets them before it is done
  Unknown,       // the engine can't say
  Skipped,       // burning is off (a control experiment)
  Failed,        // something other than zeros was read back, or nothing could be read
};

// Whose later requests may match the rows, or a copy of them; from the narrowest.
enum class RowsReuse : std::uint8_t { None, Session, Tenant, Unknown };

enum class Memory : std::uint8_t {
  KvRows,      // of the sequence, in the cache's tensors
  PrefixRows,  // copies of rows in the prefix cache, with their token ids
  Compute,     // inputs, activations and logits of the graph computed last
  Work,        // work buffers of the processor's kernels
  Output,      // logits and embeddings
  Batch,       // our own batch of token ids
  Objects,     // the library's objects: its copy of the batch, graph results, pooled embeddings
};

enum class ClearMethod : std::uint8_t {
  Zeroed,  // overwritten in place
  Freed,   // given back to the allocator, which wipes if `heap_wiped_on_free`
};

// One kind of memory. Sums, where it was cleared more than once for the request.
struct ClearedMemory {
  Memory memory = Memory::KvRows;
  ClearMethod method = ClearMethod::Zeroed;
  std::uint64_t bytes = 0;      // overwritten
  std::uint64_t read_back = 0;  // of these, looked at afterwards
  std::uint64_t nonzero = 0;    // of these, found other than zero
  std::uint64_t objects = 0;    // freed

  // All that was overwritten was read back as zeros.
  bool proven() const { return read_back == bytes && nonzero == 0; }
  friend bool operator==(const ClearedMemory&, const ClearedMemory&) = default;
};

struct BurnReport {
  std::string engine;  // kind: "worker", "vllm", ...
  RowsFate rows = RowsFate::Unknown;
  RowsReuse reuse = RowsReuse::Unknown;
  std::uint64_t reuse_seconds = 0;  // without use, after which `reuse` ends
  std::vector<ClearedMemory> cleared;
  bool heap_wiped_on_free = false;  // in the engine's process
  bool cache_reset = false;         // an external engine was told to drop everybody's cache, and confirmed it
  std::uint64_t prefixes = 0;       // entries of the prefix cache that were dropped
  std::uint64_t tokens_erased = 0;
  std::uint64_t tokens_kept = 0;  // whose rows are in the prefix cache now
  std::uint64_t micros = 0;

  // The rows were zeroed, and everything that was overwritten was read back as zeros.
  bool verified() const;
  // Sums the figures, takes the worse fate and the wider reuse.
  void add(const BurnReport& more);
  void add(ClearedMemory more);
  // The first entry of this kind; null when there is none.
  const ClearedMemory* find(Memory memory) const;

  friend bool operator==(const BurnReport&, const BurnReport&) = default;
};

std::string_view fate_name(RowsFate fate);
std::string_view reuse_name(RowsReuse reuse);
std::string_view memory_name(Memory memory);

// One JSON object. `verified` in it is what the figures say.
void write(json::Writer& w, const BurnReport& report);
// Nothing when a member is missing, unknown or of another type, or contradicts itself: what can't be read
// proves nothing.
std::optional<BurnReport> read_burn_report(const json::Value& value);

}  // namespace bulkhead::base
