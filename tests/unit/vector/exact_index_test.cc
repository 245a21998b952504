// The index against a full scan in double precision: the same keys in the same order, for every
// instruction set, on friendly and on hostile data.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "vector/exact_index_impl.h"
#include "vector/quantise.h"

namespace bulkhead::vector {
namespace {

struct Row {
  storage::ChunkKey key;
  base::FileId file;
  std::vector<float> vector;
};

base::FileId file_id(std::size_t number) { return *base::FileId::parse("file-" + std::to_string(number)); }

void normalise(std::vector<float>& vector) {
  double sum = 0;
  for (float x : vector) sum += static_cast<double>(x) * x;
  const double length = std::sqrt(sum);
  if (length == 0) return;
  for (float& x : vector) x = static_cast<float>(x / length);
}

std::vector<float> random_unit(std::mt19937& random, std::size_t dimensions) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimensions);
  for (float& x : vector) x = normal(random);
  normalise(vector);
  return vector;
}

std::shared_ptr<const ExactIndex> index_of(const std::vector<Row>& rows, std::size_t dimensions) {
  ExactIndex::Builder builder(dimensions);
  for (const Row& row : rows) builder.add(row.key, row.file, row.vector.data());
  return builder.build();
}

std::vector<storage::ChunkKey> full_scan(const std::vector<Row>& rows, const std::vector<float>& query,
                                         const std::set<base::FileId>& files, std::size_t k) {
  std::vector<std::pair<double, storage::ChunkKey>> scored;
  for (const Row& row : rows) {
    if (!files.contains(row.file)) continue;
    scored.emplace_back(-exact_dot(row.vector.data(), query.data(), query.size()), row.key);
  }
  std::sort(scored.begin(), scored.end());
  if (scored.size() > k) scored.resize(k);
  std::vector<storage::ChunkKey> keys;
  for (const auto& [score, key] : scored) keys.push_back(key);
  return keys;
}

std::vector<storage::ChunkKey> keys_of(const std::vector<Hit>& hits) {
  std::vector<storage::ChunkKey> keys;
  for (const Hit& hit : hits) keys.push_back(hit.key);
  return keys;
}

class EachSimd : public ::testing::TestWithParam<Simd> {
 protected:
  void SetUp() override {
    if (!simd_supported(GetParam())) GTEST_SKIP() << "this CPU lacks the instructions";
  }
  void expect_exact(const std::vector<Row>& rows, const std::vector<std::vector<float>>& queries,
                    const std::vector<std::vector<base::FileId>>& filters) {
    const auto index = index_of(rows, queries[0].size());
    for (const auto& query : queries) {
      for (const auto& filter : filters) {
        const std::set<base::FileId> files(filter.begin(), filter.end());
        for (std::size_t k : {1UL, 7UL, 24UL, 1000UL}) {
          ASSERT_EQ(keys_of(search_with(GetParam(), *index, query, filter, k)),
                    full_scan(rows, query, files, k));
        }
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(All, EachSimd, ::testing::Values(Simd::Scalar, Simd::Avx2, Simd::Avx512Vnni));

std::vector<base::FileId> files_up_to(std::size_t count) {
  std::vector<base::FileId> files;
  for (std::size_t i = 0; i < count; ++i) files.push_back(file_id(i));
  return files;
}

TEST_P(EachSimd, KernelGivesTheExactIntegerSums) {
  std::mt19937 random(7);
  for (std::size_t width : {64UL, 384UL, 1024UL}) {
    const std::size_t rows = 37;
    AlignedCodes codes(rows * width);
    std::vector<std::int8_t> query(width);
    for (int round = 0; round < 3; ++round) {
      // The extremes would saturate a 16-bit intermediate.
      for (std::size_t i = 0; i < rows * width; ++i) {
        codes.data()[i] = round == 0 ? 255 : static_cast<std::uint8_t>(random());
      }
      for (auto& q : query) q = round == 0 ? -127 : static_cast<std::int8_t>(random() % 255 - 127);
      std::vector<std::int32_t> sums(rows);
      dot_rows_for(GetParam())(codes.data(), rows, width, query.data(), sums.data());
      for (std::size_t row = 0; row < rows; ++row) {
        std::int64_t expected = 0;
        for (std::size_t i = 0; i < width; ++i) {
          expected += std::int64_t{codes.data()[row * width + i]} * query[i];
        }
        ASSERT_EQ(sums[row], expected);
      }
    }
  }
}

TEST_P(EachSimd, RandomVectorsRankAsTheFullScan) {
  std::mt19937 random(1);
  for (std::size_t dimensions : {5UL, 64UL, 384UL, 700UL}) {
    std::vector<Row> rows;
    for (int i = 0; i < 3000; ++i) {
      rows.push_back({i, file_id(static_cast<std::size_t>(i) / 60), random_unit(random, dimensions)});
    }
    std::vector<std::vector<float>> queries;
    for (int i = 0; i < 5; ++i) queries.push_back(random_unit(random, dimensions));
    queries.push_back(rows[77].vector);
    expect_exact(rows, queries, {files_up_to(50), {file_id(3)}, {file_id(49), file_id(0), file_id(7)}, {}});
  }
}

TEST_P(EachSimd, NearTiesFarBelowTheCodesPrecisionRankAsTheFullScan) {
  std::mt19937 random(2);
  const std::size_t dimensions = 384;
  const std::vector<float> centre = random_unit(random, dimensions);
  std::vector<Row> rows;
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> vector = centre;
    // Differences of a few units in the last place, in one to three components.
    for (int n = 0; n <= i % 3; ++n) {
      float& x = vector[random() % dimensions];
      x = std::nextafter(x, (random() & 1) != 0 ? 1.0F : -1.0F);
    }
    rows.push_back({10'000 - i, file_id(static_cast<std::size_t>(i) % 7), std::move(vector)});
  }
  expect_exact(rows, {centre, random_unit(random, dimensions)}, {files_up_to(7), {file_id(2)}});
}

TEST_P(EachSimd, VectorsTheCodesDescribeBadlyRankAsTheFullScan) {
  std::mt19937 random(3);
  const std::size_t dimensions = 384;
  std::vector<Row> rows;
  for (int i = 0; i < 3000; ++i) {
    // One huge component leaves all others at code zero; what tells rows apart is all in the rest.
    std::vector<float> vector = random_unit(random, dimensions);
    vector[0] = 400.0F;
    normalise(vector);
    rows.push_back({i, file_id(0), std::move(vector)});
  }
  std::vector<float> query = random_unit(random, dimensions);
  query[0] = 0;
  normalise(query);
  std::vector<float> subnormal(dimensions, 1e-42F);
  rows.push_back({5000, file_id(0), std::vector<float>(dimensions, 0.0F)});
  rows.push_back({5001, file_id(0), subnormal});
  expect_exact(rows, {query, rows[5].vector, subnormal}, {{file_id(0)}});
}

TEST_P(EachSimd, ScoresRisingRowByRowRankAsTheFullScan) {
  std::mt19937 random(4);
  const std::size_t dimensions = 128;
  const std::vector<float> query = random_unit(random, dimensions);
  std::vector<Row> rows;
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> vector = random_unit(random, dimensions);
    for (std::size_t d = 0; d < dimensions; ++d) {
      vector[d] += query[d] * static_cast<float>(i) * 0.002F;
    }
    normalise(vector);
    rows.push_back({i, file_id(static_cast<std::size_t>(i) % 3), std::move(vector)});
  }
  expect_exact(rows, {query}, {files_up_to(3), {file_id(1)}});
}

TEST_P(EachSimd, EqualVectorsComeOldestFirst) {
  std::mt19937 random(5);
  const std::vector<float> same = random_unit(random, 384);
  std::vector<Row> rows;
  for (int i = 0; i < 500; ++i) rows.push_back({1000 - i, file_id(0), same});
  expect_exact(rows, {same}, {{file_id(0)}});
}

// The control: the first pass without its error bound misses what the exact search finds.
TEST(ExactIndex, WithoutTheBoundTheCodesAloneMissNearTies) {
  std::mt19937 random(6);
  const std::size_t dimensions = 384;
  const std::vector<float> query = random_unit(random, dimensions);
  std::vector<Row> rows;
  for (int i = 0; i < 2000; ++i) {
    std::vector<float> vector = query;
    for (float& x : vector) x += std::uniform_real_distribution<float>(-4e-4F, 4e-4F)(random);
    normalise(vector);
    rows.push_back({i, file_id(0), std::move(vector)});
  }
  std::vector<std::int8_t> query_codes(dimensions);
  Quantised about_query;
  ASSERT_TRUE(quantise(query.data(), dimensions, query_codes.data(), about_query));
  std::vector<std::pair<double, storage::ChunkKey>> by_codes;
  for (const Row& row : rows) {
    std::vector<std::int8_t> codes(dimensions);
    Quantised about;
    ASSERT_TRUE(quantise(row.vector.data(), dimensions, codes.data(), about));
    double sum = 0;
    for (std::size_t i = 0; i < dimensions; ++i) sum += codes[i] * query_codes[i];
    const double estimate = sum * about.scale * about_query.scale;
    by_codes.emplace_back(-estimate, row.key);
    // And the bound holds.
    const double off = static_cast<double>(about.code_norm) * about_query.rest_norm +
                       static_cast<double>(about.rest_norm) * norm_up(query.data(), dimensions);
    ASSERT_LE(std::fabs(exact_dot(row.vector.data(), query.data(), dimensions) - estimate), off);
  }
  std::sort(by_codes.begin(), by_codes.end());
  std::vector<storage::ChunkKey> guessed;
  for (std::size_t i = 0; i < 24; ++i) guessed.push_back(by_codes[i].second);
  const auto right = full_scan(rows, query, {file_id(0)}, 24);
  EXPECT_NE(guessed, right);
  EXPECT_EQ(keys_of(index_of(rows, dimensions)->search(query, {file_id(0)}, 24)), right);
}

TEST(ExactIndex, Aisvs_5_2_2_FilterComesBeforeRanking) {
  std::mt19937 random(8);
  std::vector<Row> rows;
  const std::vector<float> query = random_unit(random, 64);
  // The forbidden file holds the thousand best rows; a filter after ranking would leave nothing.
  for (int i = 0; i < 1000; ++i) rows.push_back({i, file_id(1), query});
  for (int i = 0; i < 10; ++i) rows.push_back({2000 + i, file_id(2), random_unit(random, 64)});
  const auto index = index_of(rows, 64);
  const auto hits = index->search(query, {file_id(2)}, 10);
  ASSERT_EQ(hits.size(), 10u);
  for (const Hit& hit : hits) EXPECT_GE(hit.key, 2000);
  // Control: with the file allowed its rows win.
  EXPECT_LT(index->search(query, {file_id(1), file_id(2)}, 10)[0].key, 1000);
}

TEST(ExactIndex, OddInputsGiveNothingRatherThanNonsense) {
  std::mt19937 random(9);
  std::vector<Row> rows;
  for (int i = 0; i < 20; ++i) rows.push_back({i, file_id(0), random_unit(random, 64)});
  rows.push_back({99, file_id(0), std::vector<float>(64, std::nanf(""))});
  rows.push_back({98, file_id(0), std::vector<float>(64, INFINITY)});
  const auto index = index_of(rows, 64);
  EXPECT_EQ(index->size(), 20u) << "vectors that are not numbers are left out";
  const auto query = random_unit(random, 64);
  EXPECT_TRUE(index->search(query, {file_id(0)}, 0).empty());
  EXPECT_TRUE(index->search(query, {file_id(5)}, 3).empty());
  EXPECT_TRUE(index->search(random_unit(random, 63), {file_id(0)}, 3).empty());
  EXPECT_TRUE(index->search(std::vector<float>(64, std::nanf("")), {file_id(0)}, 3).empty());
  EXPECT_EQ(index->search(query, {file_id(0), file_id(0)}, 100).size(), 20u) << "files named twice";
  EXPECT_TRUE(ExactIndex::Builder(64).build()->search(query, {file_id(0)}, 3).empty());
}

TEST(ExactIndex, RowsOfAFileNeedNotArriveTogether) {
  std::mt19937 random(10);
  std::vector<Row> rows;
  for (int i = 0; i < 300; ++i) {
    rows.push_back({i, file_id(static_cast<std::size_t>(i) % 5), random_unit(random, 64)});
  }
  const auto query = random_unit(random, 64);
  EXPECT_EQ(keys_of(index_of(rows, 64)->search(query, {file_id(4), file_id(1)}, 30)),
            full_scan(rows, query, {file_id(1), file_id(4)}, 30));
}

// `make bench` says how long it takes.
TEST(ExactIndex, TwentyThousandChunksTakeTheMemoryOfTheDesign) {
  std::mt19937 random(11);
  const std::size_t dimensions = 384;
  ExactIndex::Builder builder(dimensions);
  for (int i = 0; i < 20'000; ++i) {
    builder.add(i, file_id(static_cast<std::size_t>(i) / 40), random_unit(random, dimensions).data());
  }
  const auto index = builder.build();
  EXPECT_LE(index->bytes(), 20'000 * (dimensions * 5 + 24) + (1u << 20));
  const auto all = files_up_to(500);
  const auto query = random_unit(random, dimensions);
  EXPECT_EQ(index->search(query, all, 24).size(), 24u);
  for (const Hit& hit : index->search(query, {file_id(250)}, 24)) EXPECT_EQ(hit.key / 40, 250);
}

}  // namespace
}  // namespace bulkhead::vector
