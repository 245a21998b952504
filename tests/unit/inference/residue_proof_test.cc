// What of a request is left in the process that served it? Its token ids, its K and V rows, its last
// hidden state and its logits are computed apart, remembered under a mask, and looked for in the whole
// memory of the process afterwards (AISVS 4.2.4). tests/acceptance/test_burn.py does the same for text,
// from outside.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/bytes.h"
#include "base/scrub.h"
#include "inference/encoder.h"
#include "llama-ext.h"
#include "support.h"

namespace bulkhead::inference {
namespace {

using namespace test;

constexpr std::uint8_t kMask = 0x5A;
constexpr std::uint64_t kMaskWord = 0x5A5A5A5A5A5A5A5A;
constexpr std::size_t kNeedleBytes = 48;

// Bytes to look for, never in the clear.
struct Needle {
  std::string name;
  std::vector<std::uint8_t> masked;
  std::uint64_t word = 0;  // its first eight bytes, masked
};

std::uint64_t first_word(const std::uint8_t* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

Needle needle(std::string name, const void* data, std::size_t bytes) {
  Needle out{std::move(name), {}};
  const auto* at = static_cast<const std::uint8_t*>(data);
  for (std::size_t i = 0; i < std::min(bytes, kNeedleBytes); ++i) {
    out.masked.push_back(static_cast<std::uint8_t>(at[i] ^ kMask));
  }
  out.word = first_word(out.masked.data());
  return out;
}

bool stands_at(const std::uint8_t* at, const Needle& wanted) {
  for (std::size_t i = 0; i < wanted.masked.size(); ++i) {
    if ((at[i] ^ kMask) != wanted.masked[i]) return false;
  }
  return true;
}

// Names of what is found in this process's writable memory.
std::vector<std::string> found_in_memory(const std::vector<Needle>& needles) {
  std::vector<std::string> found;
  std::ifstream maps("/proc/self/maps");
  int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::vector<std::uint8_t> chunk(1 << 20);
  for (std::string line; std::getline(maps, line);) {
    unsigned long low = 0, high = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &low, &high, mode) != 3 || mode[0] != 'r' || mode[1] != 'w')
      continue;
    for (unsigned long at = low; at < high;) {
      std::size_t want = std::min<std::size_t>(chunk.size(), high - at);
      ssize_t got = ::pread(memory, chunk.data(), want, static_cast<off_t>(at));
      if (got <= static_cast<ssize_t>(kNeedleBytes)) break;
      bool own = at <= reinterpret_cast<unsigned long>(chunk.data()) &&
                 reinterpret_cast<unsigned long>(chunk.data()) < at + static_cast<unsigned long>(got);
      auto last = static_cast<std::size_t>(got) - kNeedleBytes;
      for (std::size_t i = 0; i <= last && !own; ++i) {
        std::uint64_t word = first_word(chunk.data() + i) ^ kMaskWord;
        for (const Needle& wanted : needles) {
          if (word == wanted.word && stands_at(chunk.data() + i, wanted)) found.push_back(wanted.name);
        }
      }
      at += last + 1;
    }
  }
  base::wipe(chunk.data(), chunk.size());
  ::close(memory);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

// The last hidden state of the batch decoded last.
struct Watcher {
  std::vector<std::uint8_t> hidden;
  static bool see(ggml_tensor* tensor, bool asking, void* self) {
    if (std::strcmp(tensor->name, "result_norm") != 0) return false;
    if (asking) return true;
    auto* watcher = static_cast<Watcher*>(self);
    watcher->hidden.resize(kNeedleBytes);
    ggml_backend_tensor_get(tensor, watcher->hidden.data(), 0, kNeedleBytes);
    return true;
  }
};

// Computes what the request leaves behind, in a context of its own that is gone afterwards.
std::vector<Needle> residues_of(const Tokens& prompt) {
  Watcher watcher;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 512;
  params.n_batch = params.n_ubatch = 514;
  params.n_seq_max = 1;
  params.n_threads = params.n_threads_batch = 1;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  params.cb_eval = &Watcher::see;
  params.cb_eval_user_data = &watcher;
  llama_context* context = llama_init_from_model(model().handle(), params);
  Tokens copy = prompt;
  llama_decode(context, llama_batch_get_one(copy.data(), static_cast<int>(copy.size())));
  std::vector<Needle> needles;
  needles.push_back(needle("token ids", prompt.data() + 10, kNeedleBytes));
  needles.push_back(needle("logits", llama_get_logits_ith(context, -1) + 100, kNeedleBytes));
  needles.push_back(needle("hidden state", watcher.hidden.data(), watcher.hidden.size()));
  std::vector<std::uint8_t> rows(llama_state_seq_get_size(context, 0));
  llama_state_seq_get_data(context, rows.data(), rows.size(), 0);
  needles.push_back(needle("K rows", rows.data() + rows.size() / 4, kNeedleBytes));
  needles.push_back(needle("V rows", rows.data() + rows.size() * 3 / 4, kNeedleBytes));
  base::wipe(rows.data(), rows.size());
  base::wipe(watcher.hidden.data(), watcher.hidden.size());
  base::wipe(copy.data(), copy.size() * sizeof(Token));
  llama_context_scrub(context);
  llama_memory_clear(llama_get_memory(context), true);
  llama_free(context);
  return needles;
}

std::vector<std::string> left_after(bool burn, PrefixScope prefix, bool burn_kept) {
  // Another text each time: what a control has left behind in freed memory is none of this run's.
  static unsigned seed = 77;
  RequestContext acme = who("acme", "s", prefix);
  // In a batch of its own its numbers are those of `residues_of`, bit by bit; with a neighbour in it they
  // are so only as a rule, and a control would now and then look for what was never there.
  acme.exclusive = true;
  auto generation = ask(std::move(acme), words(60, seed++), 1);
  std::vector<Needle> needles = residues_of(generation->request.prompt);
  base::set_heap_scrubbing(burn);
  // Guesses would let the neighbour write over what a control is to find.
  auto engine = scheduler({.slots = 2, .context = 512, .burn = burn, .lookahead = burn});
  auto channel = generation->channel;
  // The neighbour goes on, so that the context is in use while it is searched.
  auto neighbour = ask(who("other"), "Tell a long story.", 400);
  auto neighbours = neighbour->channel;
  base::CancelToken stop = neighbour->cancel;
  // It comes first, into a slot of its own: what it writes must not fall on what a control is to find.
  EXPECT_TRUE(engine->submit(std::move(neighbour)));
  while (engine->stats().active < 1) std::this_thread::yield();
  EXPECT_TRUE(engine->submit(std::move(generation)));
  EXPECT_EQ(wait_for(channel).error, "");
  channel.reset();
  if (burn_kept) EXPECT_EQ(base::run_blocking(engine->burn_kept("acme", std::nullopt)).prefixes, 1u);
  const std::uint64_t steps_before = engine->stats().steps;
  EXPECT_EQ(engine->stats().active, 1u) << "the neighbour is decoded while memory is searched";
  std::vector<std::string> found = found_in_memory(needles);
  EXPECT_GT(engine->stats().steps, steps_before) << "it went on meanwhile";
  EXPECT_EQ(engine->stats().active, 1u) << "and it has not ended";
  stop.cancel(base::CancelReason::Abandoned);
  engine->wake();
  EXPECT_EQ(wait_for(neighbours).error, "cancelled") << "it was stopped, not done";
  base::set_heap_scrubbing(true);
  return found;
}

using Names = std::vector<std::string>;

TEST(ResidueProof, Aisvs_4_2_4_NothingOfARequestIsLeftInTheProcess) {
  if (!base::heap_scrubbing_linked()) GTEST_SKIP() << "sanitizers bring an allocator of their own";
  EXPECT_EQ(left_after(true, PrefixScope::Off, false), Names{});
}

TEST(ResidueProof, ControlWithoutBurningRowsAndIdsAreFound) {
  if (!base::heap_scrubbing_linked()) GTEST_SKIP() << "sanitizers bring an allocator of their own";
  Names found = left_after(false, PrefixScope::Off, false);
  for (const char* name : {"K rows", "V rows", "token ids"}) {
    EXPECT_NE(std::find(found.begin(), found.end(), name), found.end()) << name;
  }
}

TEST(ResidueProof, AKeptPrefixIsThereUntilItIsBurned) {
  if (!base::heap_scrubbing_linked()) GTEST_SKIP() << "sanitizers bring an allocator of their own";
  Names kept = left_after(true, PrefixScope::Session, false);
  EXPECT_NE(std::find(kept.begin(), kept.end(), "K rows"), kept.end()) << "control: kept rows can be seen";
  EXPECT_EQ(left_after(true, PrefixScope::Session, true), Names{});
}

// What is left of the token ids of a pair that a cross-encoder scored.
Names left_after_ranking(bool burn) {
  static unsigned seed = 177;
  std::filesystem::path path = std::filesystem::path(BULKHEAD_SOURCE_DIR) / "build/models/rerank-test.gguf";
  model();  // llama.cpp is ready
  auto ranker = load({"ranker", path, "", {}}, ModelKind::Rerank);
  EXPECT_TRUE(ranker.ok());
  base::set_heap_scrubbing(burn);
  auto encoder = Encoder::start(**ranker, EncoderUse::Ranking, 1, burn);
  EXPECT_TRUE(encoder.ok());
  std::vector<Tokens> pairs = {
      (*ranker)->tokenize_pair((*ranker)->tokenize_content(words(20, seed)), words(60, seed + 1))};
  seed += 2;
  std::vector<Needle> needles = {needle("token ids", pairs[0].data() + 10, kNeedleBytes)};
  EXPECT_TRUE(base::run_blocking((*encoder)->encode({"acme"}, std::move(pairs), "documents")).ok());
  Names found = found_in_memory(needles);
  base::set_heap_scrubbing(true);
  return found;
}

TEST(ResidueProof, Aisvs_4_2_4_NothingOfARankedPairIsLeft) {
  if (!base::heap_scrubbing_linked()) GTEST_SKIP() << "sanitizers bring an allocator of their own";
  EXPECT_EQ(left_after_ranking(true), Names{});
  EXPECT_EQ(left_after_ranking(false), Names{"token ids"}) << "control";
}

}  // namespace
}  // namespace bulkhead::inference
