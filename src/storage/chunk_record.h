// What every backend keeps of a chunk: its key, its packed form (which is then sealed) and the rules of a
// batch.
//
// A packed chunk holds page, begin, end, tokens and the heading's length (u32, little endian each),
// then heading and text. The place in the document is sealed too, because citations are made from it.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "storage/seal.h"
#include "storage/store.h"

namespace bulkhead::storage {

// A chunk's key holds the batch (the ingest that made it) and its ordinal, so that all chunks of a file
// are one range of keys.
inline constexpr unsigned kOrdinalBits = 20;
inline constexpr std::uint32_t kChunksPerFileMax = 1u << kOrdinalBits;

inline constexpr ChunkKey chunk_key(std::int64_t batch, std::uint32_t ordinal) {
  return (batch << kOrdinalBits) | ordinal;
}
inline constexpr std::int64_t batch_of(ChunkKey key) { return key >> kOrdinalBits; }
inline constexpr std::uint32_t ordinal_of(ChunkKey key) {
  return static_cast<std::uint32_t>(key & (kChunksPerFileMax - 1));
}

base::Bytes pack_chunk(const Chunk& chunk);
base::Result<Chunk> unpack_chunk(base::ByteView packed, base::FileId file, std::uint32_t ordinal);
base::ByteView vector_bytes(const std::vector<float>& vector);
base::Result<std::vector<float>> vector_from(base::ByteView bytes);

// Opens the two sealed records of the chunk with this key and appends them.
base::Result<void> open_chunk(const RecordSealer& sealer, const base::FileId& file, ChunkKey key,
                              base::ByteView text_box, base::ByteView vector_box,
                              TenantStore::FileChunks& out);

// A batch that can't be stored whole is refused whole.
base::Result<void> check_chunk_batch(const base::FileId& file, const std::vector<Chunk>& chunks,
                                     const std::vector<std::vector<float>>& vectors);

}  // namespace bulkhead::storage
