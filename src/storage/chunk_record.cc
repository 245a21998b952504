#include "storage/chunk_record.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/record_json.h"

namespace bulkhead::storage {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors are stored little endian");

constexpr std::size_t kChunkHeadBytes = 5 * sizeof(std::uint32_t);
constexpr std::string_view kVectorsMagic = "bkv1";
constexpr std::size_t kVectorsHeadBytes = kVectorsMagic.size() + 1;
constexpr std::size_t kEntryHeadBytes = sizeof(base::EmbeddingSpace) + sizeof(std::uint32_t);

bool is_untagged(const ChunkVectors& vectors) { return vectors.size() == 1 && !vectors[0].space.known(); }

void append(base::Bytes& out, const void* data, std::size_t bytes) {
  const auto* first = static_cast<const std::uint8_t*>(data);
  out.insert(out.end(), first, first + bytes);
}

std::vector<float> floats(base::ByteView bytes) {
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!bytes.empty()) std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

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

const SpaceVector* vector_in(const ChunkVectors& vectors, const base::EmbeddingSpace& space) {
  for (const SpaceVector& each : vectors) {
    if (each.space == space) return &each;
  }
  return nullptr;
}

base::Bytes pack_vectors(const ChunkVectors& vectors) {
  base::Bytes out;
  if (is_untagged(vectors)) {
    append(out, vectors[0].vector.data(), vectors[0].vector.size() * sizeof(float));
    return out;
  }
  std::size_t bytes = kVectorsHeadBytes;
  for (const SpaceVector& each : vectors) bytes += kEntryHeadBytes + each.vector.size() * sizeof(float);
  out.reserve(bytes);
  append(out, kVectorsMagic.data(), kVectorsMagic.size());
  out.push_back(static_cast<std::uint8_t>(vectors.size()));
  for (const SpaceVector& each : vectors) {
    const auto dimensions = static_cast<std::uint32_t>(each.vector.size());
    append(out, each.space.bytes.data(), each.space.bytes.size());
    append(out, &dimensions, sizeof dimensions);
    append(out, each.vector.data(), each.vector.size() * sizeof(float));
  }
  return out;
}

base::Result<ChunkVectors> unpack_vectors(base::ByteView packed) {
  ChunkVectors vectors;
  if (packed.size() % sizeof(float) == 0) {
    vectors.push_back({.space = {}, .vector = floats(packed)});
    return vectors;
  }
  if (packed.size() < kVectorsHeadBytes || !base::as_text(packed).starts_with(kVectorsMagic)) {
    return damaged("a vector");
  }
  const std::size_t count = packed[kVectorsMagic.size()];
  if (count == 0 || count > kSpacesPerChunkMax) return damaged("a vector");
  base::ByteView rest = packed.subspan(kVectorsHeadBytes);
  for (std::size_t i = 0; i < count; ++i) {
    SpaceVector entry;
    std::uint32_t dimensions = 0;
    if (rest.size() < kEntryHeadBytes) return damaged("a vector");
    std::memcpy(entry.space.bytes.data(), rest.data(), entry.space.bytes.size());
    std::memcpy(&dimensions, rest.data() + entry.space.bytes.size(), sizeof dimensions);
    rest = rest.subspan(kEntryHeadBytes);
    if (dimensions > rest.size() / sizeof(float)) return damaged("a vector");
    entry.vector = floats(rest.subspan(0, dimensions * sizeof(float)));
    rest = rest.subspan(dimensions * sizeof(float));
    if (!vectors.empty() && vectors.back().space >= entry.space) return damaged("a vector");
    vectors.push_back(std::move(entry));
  }
  if (!rest.empty() || is_untagged(vectors)) return damaged("a vector");
  return vectors;
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
  BULKHEAD_TRY(vectors, unpack_vectors(bytes));
  out.chunks.push_back(std::move(*chunk));
  out.vectors.push_back(std::move(vectors));
  out.batch = batch_of(key);
  return {};
}

base::Result<void> check_chunk_batch(const base::FileId& file, const std::vector<Chunk>& chunks,
                                     const std::vector<ChunkVectors>& vectors) {
  if (chunks.size() != vectors.size()) return bad_batch("chunks and vectors differ in number");
  if (chunks.size() > kChunksPerFileMax) return bad_batch("more chunks than a file may have");
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].file != file) return bad_batch("a chunk of another file");
    if (chunks[i].ordinal >= kChunksPerFileMax) return bad_batch("ordinal out of range");
  }
  return check_vectors(vectors);
}

// All chunks of a file have the same spaces, in each of them the same dimensions.
base::Result<void> check_vectors(const std::vector<ChunkVectors>& vectors) {
  for (const ChunkVectors& each : vectors) {
    const ChunkVectors& first = vectors[0];
    if (each.empty() || each.size() > kSpacesPerChunkMax) return bad_batch("number of spaces out of range");
    if (each.size() != first.size()) return bad_batch("chunks differ in their spaces");
    for (std::size_t i = 0; i < each.size(); ++i) {
      if (i > 0 && each[i - 1].space >= each[i].space) return bad_batch("spaces are not in their order");
      if (each[i].space != first[i].space) return bad_batch("chunks differ in their spaces");
      if (each[i].vector.size() != first[i].vector.size()) return bad_batch("vectors differ in dimensions");
    }
  }
  return {};
}

}  // namespace bulkhead::storage
