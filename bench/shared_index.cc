// Search in one tenant's own index beside one HNSW index of pgvector over all tenants' vectors, filtered by
// tenant: time by the wall as one client sees it, and recall of the best ten. The same vectors and questions
// in both. The server gets its setting for the recall that is asked for: the smallest `ef_search` that gives
// it, or the largest there is. And in stores with vectors = "pgvector", for the first few tenants: there the
// database searches one tenant's rotated vectors. Prints JSON.
//
//   bench_shared_index CONNECTION TENANTS CHUNKS QUESTIONS FOLDER PASSWORD_FILE
#include <libpq-fe.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "base/json.h"
#include "corpus.h"
#include "searching_stores.h"
#include "vector/index.h"

namespace bulkhead::bench {
namespace {

constexpr std::size_t kBest = 10;
constexpr double kRecallWanted = 0.99;
constexpr std::size_t kSearchingTenants = 4;
using Keys = std::vector<std::int64_t>;

struct Free {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, Free>;
using Answer = std::unique_ptr<PGresult, Free>;

[[noreturn]] void die(PGconn* connection) {
  std::fprintf(stderr, "%s", PQerrorMessage(connection));
  std::exit(1);
}

Answer run(PGconn* connection, const std::string& statement) {
  Answer answer(PQexec(connection, statement.c_str()));
  if (PQresultStatus(answer.get()) == PGRES_FATAL_ERROR) die(connection);
  return answer;
}

// The server's binary forms.
template <typename T>
void put(std::string& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::string binary(const float* vector) {
  std::string out;
  put<std::uint16_t>(out, kDimensions);
  put<std::uint16_t>(out, 0);
  for (std::size_t i = 0; i < kDimensions; ++i)
    put<std::uint32_t>(out, std::bit_cast<std::uint32_t>(vector[i]));
  return out;
}

struct Tenant {
  std::vector<Vector> passages;
  std::shared_ptr<const vector::ExactIndex> index;
};

const base::FileId& the_file() {
  static const base::FileId file = *base::FileId::parse("file-1");
  return file;
}

std::vector<Tenant> make_tenants(std::mt19937& random, std::size_t count, std::size_t chunks) {
  std::vector<Vector> topics = make_topics(random);  // all tenants speak of the same things
  std::vector<Tenant> tenants(count);
  for (Tenant& tenant : tenants) {
    vector::ExactIndex::Builder builder(kDimensions);
    for (std::size_t i = 0; i < chunks; ++i) {
      tenant.passages.push_back(near(random, topics[random() % topics.size()].data(), kNearTopic));
      builder.add(static_cast<storage::ChunkKey>(i), the_file(), tenant.passages.back().data());
    }
    tenant.index = builder.build();
  }
  return tenants;
}

double seconds_of(auto work) {
  auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

void fill(PGconn* connection, const std::vector<Tenant>& tenants) {
  run(connection, "DROP TABLE IF EXISTS chunks");
  run(connection, "CREATE TABLE chunks (tenant int NOT NULL, key bigint NOT NULL, embedding vector(" +
                      std::to_string(kDimensions) + ") NOT NULL)");
  run(connection, "COPY chunks FROM STDIN (FORMAT binary)");
  std::string head("PGCOPY\n\377\r\n\0", 11);
  put<std::uint64_t>(head, 0);
  auto send = [&](const std::string& bytes) {
    if (PQputCopyData(connection, bytes.data(), static_cast<int>(bytes.size())) != 1) die(connection);
  };
  send(head);
  for (std::size_t t = 0; t < tenants.size(); ++t) {
    for (std::size_t i = 0; i < tenants[t].passages.size(); ++i) {
      std::string row;
      put<std::uint16_t>(row, 3);
      put<std::uint32_t>(row, 4);
      put<std::uint32_t>(row, static_cast<std::uint32_t>(t));
      put<std::uint32_t>(row, 8);
      put<std::uint64_t>(row, i);
      std::string vector = binary(tenants[t].passages[i].data());
      put<std::uint32_t>(row, static_cast<std::uint32_t>(vector.size()));
      send(row + vector);
    }
  }
  std::string tail;
  put<std::uint16_t>(tail, 0xffff);
  send(tail);
  if (PQputCopyEnd(connection, nullptr) != 1) die(connection);
  while (Answer answer{PQgetResult(connection)}) {
    if (PQresultStatus(answer.get()) != PGRES_COMMAND_OK) die(connection);
  }
  run(connection, "CREATE INDEX ON chunks USING hnsw (embedding vector_cosine_ops)");
  run(connection, "ANALYZE chunks");
}

Keys ask_server(PGconn* connection, std::size_t tenant, const Vector& question) {
  std::string number;
  put<std::uint32_t>(number, static_cast<std::uint32_t>(tenant));
  std::string vector = binary(question.data());
  const char* values[] = {number.data(), vector.data()};
  const int lengths[] = {static_cast<int>(number.size()), static_cast<int>(vector.size())},
            formats[] = {1, 1};
  Answer answer(PQexecPrepared(connection, "nearest", 2, values, lengths, formats, 0));
  if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) die(connection);
  Keys keys;
  for (int i = 0; i < PQntuples(answer.get()); ++i)
    keys.push_back(std::atoll(PQgetvalue(answer.get(), i, 0)));
  return keys;
}

struct Question {
  std::size_t tenant;
  Vector vector;
  std::set<std::int64_t> right;
};

Keys best_of(const Tenant& tenant, const Vector& question) {
  Keys keys;
  for (const vector::Hit& hit : tenant.index->search(question, {the_file()}, kBest)) keys.push_back(hit.key);
  return keys;
}

// By every passage's own product, in double precision.
std::set<std::int64_t> right_answer(const Tenant& tenant, const Vector& question) {
  std::vector<std::pair<double, std::int64_t>> all;
  for (std::size_t i = 0; i < tenant.passages.size(); ++i) {
    double score = 0;
    for (std::size_t d = 0; d < kDimensions; ++d) score -= double{tenant.passages[i][d]} * question[d];
    all.emplace_back(score, static_cast<std::int64_t>(i));
  }
  std::partial_sort(all.begin(), all.begin() + kBest, all.end());
  std::set<std::int64_t> keys;
  for (std::size_t i = 0; i < kBest; ++i) keys.insert(all[i].second);
  return keys;
}

struct Seen {
  std::vector<double> ms;
  double recall = 0;
  double at(double share) const {
    return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
  }
};

Seen measure(const std::vector<Question>& questions, auto search) {
  Seen seen;
  std::size_t found = 0;
  for (const Question& question : questions) {
    Keys keys;
    seen.ms.push_back(1e3 * seconds_of([&] { keys = search(question); }));
    for (std::int64_t key : keys) found += question.right.count(key);
  }
  std::sort(seen.ms.begin(), seen.ms.end());
  seen.recall = static_cast<double>(found) / static_cast<double>(questions.size() * kBest);
  return seen;
}

void write(base::json::Writer& w, const std::string& before, const Seen& seen) {
  w.member(before + "p50_ms", seen.at(.5));
  w.member(before + "p99_ms", seen.at(.99));
  w.member(before + "recall", seen.recall);
}

int main_with(const char* where, std::size_t count, std::size_t chunks, std::size_t asked, const char* folder,
              const char* password_file) {
  Connection connection(PQconnectdb(where));
  if (PQstatus(connection.get()) != CONNECTION_OK) die(connection.get());
  std::mt19937 random(7);
  std::vector<Tenant> tenants = make_tenants(random, count, chunks);
  std::vector<Question> questions;
  for (std::size_t i = 0; i < asked; ++i) {
    std::size_t tenant = random() % count;
    Vector vector = near(random, tenants[tenant].passages[random() % chunks].data(), kNearPassage);
    auto right = right_answer(tenants[tenant], vector);
    questions.push_back({tenant, std::move(vector), std::move(right)});
  }
  double build = seconds_of([&] { fill(connection.get(), tenants); });
  run(connection.get(), "SET hnsw.iterative_scan = relaxed_order");
  run(connection.get(), "SET enable_seqscan = off");
  run(connection.get(),
      "PREPARE nearest(int, vector) AS SELECT key FROM chunks WHERE tenant = $1 ORDER BY embedding <=> $2 "
      "LIMIT 10");
  auto server = [&](const Question& q) { return ask_server(connection.get(), q.tenant, q.vector); };
  Seen theirs;
  int breadth = 0;
  for (int wider : {40, 80, 160, 320, 640, 1000}) {
    breadth = wider;
    run(connection.get(), "SET hnsw.ef_search = " + std::to_string(wider));
    measure(questions, server);  // into memory
    theirs = measure(questions, server);
    if (theirs.recall >= kRecallWanted) break;
  }
  auto own = [&](const Question& q) { return best_of(tenants[q.tenant], q.vector); };
  measure(questions, own);
  Seen ours = measure(questions, own);
  SearchingStores stores(folder, password_file);
  for (std::size_t i = 0; i < std::min(count, kSearchingTenants); ++i) stores.add(tenants[i].passages);
  std::erase_if(questions, [](const Question& q) { return q.tenant >= kSearchingTenants; });
  const auto searched = [&](bool by_index) {
    auto search = [&](const Question& q) { return stores.nearest(q.tenant, q.vector, kBest, by_index); };
    measure(questions, search);
    return measure(questions, search);
  };
  const Seen compared = searched(false), indexed = searched(true);
  base::json::Writer w;
  w.begin_object();
  write(w, "", ours);
  write(w, "shared_", theirs);
  write(w, "compared_", compared);
  write(w, "indexed_", indexed);
  w.member("shared_ef_search", std::int64_t{breadth}).member("shared_build_seconds", build).end_object();
  std::printf("%s\n", w.take().c_str());
  return 0;
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  return bulkhead::bench::main_with(argv[1], std::strtoul(argv[2], nullptr, 10),
                                    std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10),
                                    argv[5], argv[6]);
}
