// What every backend keeps of a chunk: its key, its packed form (which is then sealed) and the rules of a
// batch.
//
// A packed chunk holds page, begin, end, tokens and the heading's length (u32, little endian each),
// then heading and text. The place in the document is sealed too, because citations are made from it.
//
// Packed vectors are "bkv1", the number of entries (1 byte) and the entries by space: 16 bytes that name the
// space, the dimensions (u32), the floats, all little endian. So their length leaves 1 when divided by 4.
// What an older version stored is the floats alone (its length leaves 0) and is of a space that is not known;
// a single vector of a space that is not known is still packed so.
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
inline constexpr std::size_t kSpacesPerChunkMax = 4;  // two are needed; a model may be replaced halfway

inline constexpr ChunkKey chunk_key(std::int64_t batch, std::uint32_t ordinal) {
  return (batch << kOrdinalBits) | ordinal;
}
inline constexpr std::int64_t batch_of(ChunkKey key) { return key >> kOrdinalBits; }
inline constexpr std::uint32_t ordinal_of(ChunkKey key) {
  return static_cast<std::uint32_t>(key & (kChunksPerFileMax - 1));
}

base::Bytes pack_chunk(const Chunk& chunk);
base::Result<Chunk> unpack_chunk(base::ByteView packed, base::FileId file, std::uint32_t ordinal);
// Corrupt unless it is exactly what `pack_vectors` gives.
base::Bytes pack_vectors(const ChunkVectors& vectors);
base::Result<ChunkVectors> unpack_vectors(base::ByteView packed);

// Opens the two sealed records of the chunk with this key and appends them.
base::Result<void> open_chunk(const RecordSealer& sealer, const base::FileId& file, ChunkKey key,
                              base::ByteView text_box, base::ByteView vector_box,
                              TenantStore::FileChunks& out);

// A batch that can't be stored whole is refused whole.
base::Result<void> check_chunk_batch(const base::FileId& file, const std::vector<Chunk>& chunks,
                                     const std::vector<ChunkVectors>& vectors);
// The same for vectors of chunks that are there.
base::Result<void> check_vectors(const std::vector<ChunkVectors>& vectors);

}  // namespace bulkhead::storage
