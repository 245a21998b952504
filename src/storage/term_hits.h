// term_hits(table): an FTS5 auxiliary function (SQLite's FTS5 documentation, 7) that tells how often each
// phrase of a query stands in a row and how many words the row has; and BM25 over the rows it was told of.
//
// FTS5's own bm25() weighs a word by how many rows of the whole table hold it, also rows that the asker may
// not read: an answer's order and scores would tell of them. Here the weights come from the rows that were
// let through alone.
//
// Thread safety: `register_term_hits` as the connection; TermRanking by one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "storage/store.h"

struct sqlite3;

namespace bulkhead::storage {

// SQLite's result code.
int register_term_hits(sqlite3* connection);

// Okapi BM25 (Robertson and Zaragoza 2009, 3.2) with k1 = 1.2 and b = 0.75, over what is added.
class TermRanking {
 public:
  // False: `hits` is not what term_hits gives.
  bool add(ChunkKey key, base::ByteView hits);
  // The best `limit`, best first, equal ones by their key. `rows`: how many rows may be seen in all, found or
  // not.
  std::vector<LexicalHit> best(std::uint64_t rows, std::size_t limit) const;

 private:
  struct Row {
    ChunkKey key;
    std::uint32_t words;
  };
  std::size_t phrases_ = 0;
  std::vector<Row> rows_;
  std::vector<std::uint32_t> counts_;  // phrases_ for each row
};

}  // namespace bulkhead::storage
