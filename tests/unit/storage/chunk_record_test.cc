// The stored form of a chunk's vectors: which space they are of stands in it, what older versions stored is
// still read, and nothing else is.
#include "storage/chunk_record.h"

#include <cstring>
#include <random>

#include "storage/store_fixture.h"

namespace bulkhead::storage {
namespace {

ChunkVectors two() { return {{sample_space(1), {0.5F, -0.25F, 1.0F}}, {sample_space(2), {1.0F, 0.0F}}}; }

TEST(PackedVectors, ComeBackWithTheirSpaces) {
  const ChunkVectors unknown_and_one{{{}, {1.0F, 2.0F}}, {sample_space(9), {3.0F}}};
  const ChunkVectors one{{sample_space(7), std::vector<float>(384, 0.1F)}};
  for (const ChunkVectors& vectors : {two(), unknown_and_one, one}) {
    const base::Bytes packed = pack_vectors(vectors);
    EXPECT_EQ(packed.size() % sizeof(float), 1u) << "never taken for what older versions stored";
    EXPECT_EQ(must(unpack_vectors(packed)), vectors);
  }
}

TEST(PackedVectors, WhatOlderVersionsStoredIsOfNoKnownSpace) {
  const std::vector<float> floats{0.6F, 0.8F};
  base::Bytes raw(floats.size() * sizeof(float));
  std::memcpy(raw.data(), floats.data(), raw.size());
  const ChunkVectors read = must(unpack_vectors(raw));
  ASSERT_EQ(read.size(), 1u);
  EXPECT_FALSE(read[0].space.known());
  EXPECT_EQ(read[0].vector, floats);
  EXPECT_EQ(pack_vectors(read), raw) << "and is written as it was: copies of it stay the same";
  EXPECT_EQ(vector_in(read, sample_space(1)), nullptr);
}

TEST(PackedVectors, OneFormEach) {
  // The same in another order, twice the same space, a single one of no known space in the tagged form.
  base::Bytes packed = pack_vectors({{sample_space(1), {1.0F}}, {sample_space(2), {2.0F}}});
  const std::size_t entry = 16 + 4 + 4;
  base::Bytes swapped = packed;
  std::swap_ranges(swapped.begin() + 5, swapped.begin() + 5 + entry, swapped.begin() + 5 + entry);
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(swapped));
  base::Bytes twice = packed;
  std::copy_n(packed.begin() + 5, 16, twice.begin() + 5 + entry);
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(twice));
  base::Bytes untagged = pack_vectors({{sample_space(1), {1.0F}}});
  std::fill_n(untagged.begin() + 5, 16, std::uint8_t{0});
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(untagged));
  base::Bytes none = packed;
  none[4] = 0;
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(none));
  base::Bytes five = packed;
  five[4] = 5;
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(five));
}

TEST(PackedVectors, WhatIsCutOrHostileIsRefusedOrReadAsWhatItIs) {
  const base::Bytes packed = pack_vectors(two());
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const auto cut = unpack_vectors(base::ByteView(packed).subspan(0, size));
    if (size % sizeof(float) == 0) {
      ASSERT_OK(cut);
      EXPECT_FALSE(cut->at(0).space.known()) << "bare floats, which no search uses";
    } else {
      EXPECT_FAILS(StorageError::Corrupt, cut);
    }
  }
  base::Bytes longer = packed;
  longer.resize(longer.size() + 4);
  EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(longer));
  for (const std::uint32_t dimensions : {0xffffffffu, 0x40000000u, 4u, 1'000u}) {
    base::Bytes large = packed;
    std::memcpy(large.data() + 5 + 16, &dimensions, sizeof dimensions);
    EXPECT_FAILS(StorageError::Corrupt, unpack_vectors(large));
  }
  std::mt19937 random(7);
  int opened = 0;
  for (int round = 0; round < 20'000; ++round) {
    base::Bytes bytes = packed;
    for (int flips = 0; flips < 3; ++flips)
      bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
    bytes.resize(random() % (bytes.size() + 1));
    const auto read = unpack_vectors(bytes);
    if (!read) continue;
    ++opened;
    EXPECT_EQ(pack_vectors(*read), bytes);
  }
  EXPECT_GT(opened, 0) << "some of the flips are in the vectors' own numbers";
  EXPECT_LT(opened, 20'000);
}

TEST(EmbeddingSpaces, AreTheFirstHalfOfTheModelsHash) {
  const std::string hash = "00112233445566778899aabbccddeeff" + std::string(32, '5');
  EXPECT_EQ(base::EmbeddingSpace::of_model(hash).hex(), hash.substr(0, 32));
  EXPECT_FALSE(base::EmbeddingSpace::of_model("").known());
  EXPECT_FALSE(base::EmbeddingSpace::of_model(hash.substr(1)).known());
  EXPECT_FALSE(base::EmbeddingSpace::of_model(std::string(64, 'x')).known());
}

}  // namespace
}  // namespace bulkhead::storage
