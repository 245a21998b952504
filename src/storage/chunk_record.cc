#include "storage/chunk_record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/record_json.h"

namespace bulkhead::storage {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors are stored little endian");

constexpr std::size_t kChunkHeadBytes = 5 * sizeof(std::uint32_t);

base::Error bad_batch(std::string detail) {
  return base::Error(StorageError::TooLarge,
                     "The document can't be indexed in one piece. Split it into smaller files.",
                     std::move(detail));
}

}  // namespace

base::Bytes pack_chunk(const Chunk& chunk) {
  const std::uint32_t head[5] = {chunk.page, chunk.begin, chunk.end, chunk.tokens,
                                 static_cast<std::uint32_t>(chunk.heading.size())};
  base::Bytes out(kChunkHeadBytes + chunk.heading.size() + chunk.text.size());
  std::memcpy(out.data(), head, kChunkHeadBytes);
  std::copy(chunk.heading.begin(), chunk.heading.end(), out.begin() + kChunkHeadBytes);
  std::copy(chunk.text.begin(), chunk.text.end(),
            out.begin() + kChunkHeadBytes + static_cast<std::ptrdiff_t>(chunk.heading.size()));
  return out;
}

base::Result<Chunk> unpack_chunk(base::ByteView packed, base::FileId file, std::uint32_t ordinal) {
  std::uint32_t head[5];
  if (packed.size() < kChunkHeadBytes) return damaged("a chunk");
  std::memcpy(head, packed.data(), kChunkHeadBytes);
  const std::string_view rest = base::as_text(packed.subspan(kChunkHeadBytes));
  if (head[4] > rest.size()) return damaged("a chunk");
  Chunk chunk{.file = std::move(file), .ordinal = ordinal};
  chunk.page = head[0];
  chunk.begin = head[1];
  chunk.end = head[2];
  chunk.tokens = head[3];
  chunk.heading = rest.substr(0, head[4]);
  chunk.text = rest.substr(head[4]);
  return chunk;
}

base::ByteView vector_bytes(const std::vector<float>& vector) {
  return {reinterpret_cast<const std::uint8_t*>(vector.data()), vector.size() * sizeof(float)};
}

base::Result<std::vector<float>> vector_from(base::ByteView bytes) {
  if (bytes.size() % sizeof(float) != 0) return damaged("a vector");
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(vector.data(), bytes.data(), bytes.size());
  return vector;
}

base::Result<void> open_chunk(const RecordSealer& sealer, const base::FileId& file, ChunkKey key,
                              base::ByteView text_box, base::ByteView vector_box,
                              TenantStore::FileChunks& out) {
  const auto generation = static_cast<std::uint64_t>(batch_of(key));
  const std::uint32_t ordinal = ordinal_of(key);
  BULKHEAD_TRY(packed, sealer.open({RecordKind::ChunkText, file.str(), ordinal, generation}, text_box));
  auto chunk = unpack_chunk(packed, file, ordinal);
  base::wipe(packed);
  if (!chunk) return chunk.take_error();
  BULKHEAD_TRY(bytes, sealer.open({RecordKind::ChunkVector, file.str(), ordinal, generation}, vector_box));
  BULKHEAD_TRY(vector, vector_from(bytes));
  out.chunks.push_back(std::move(*chunk));
  out.vectors.push_back(std::move(vector));
  return {};
}

base::Result<void> check_chunk_batch(const base::FileId& file, const std::vector<Chunk>& chunks,
                                     const std::vector<std::vector<float>>& vectors) {
  if (chunks.size() != vectors.size()) return bad_batch("chunks and vectors differ in number");
  if (chunks.size() > kChunksPerFileMax) return bad_batch("more chunks than a file may have");
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].file != file) return bad_batch("a chunk of another file");
    if (chunks[i].ordinal >= kChunksPerFileMax) return bad_batch("ordinal out of range");
    if (vectors[i].size() != vectors[0].size()) return bad_batch("vectors differ in dimensions");
  }
  return {};
}

}  // namespace bulkhead::storage
