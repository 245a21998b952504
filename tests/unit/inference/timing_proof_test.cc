// Can one tenant tell by time what another has asked? The prefix experiment of vLLM CVE-2025-46570, with
// the statistics that a reader needs to believe the answer. PROOF_N sets the number of probes (500).
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "support.h"

namespace bulkhead::inference {
namespace {

using namespace test;
using Clock = std::chrono::steady_clock;

int probes() {
  const char* text = std::getenv("PROOF_N");
  int n = text ? std::atoi(text) : 0;
  return n > 0 ? n : 500;
}

// Probability that a hit is faster than a miss, with a 95 % interval after Hanley and McNeil (1982).
struct Auc {
  double value = 0, low = 0, high = 0;
};

Auc auc_of(const std::vector<double>& hits, const std::vector<double>& misses) {
  double wins = 0;
  for (double hit : hits) {
    for (double miss : misses) wins += hit < miss ? 1 : hit == miss ? 0.5 : 0;
  }
  double n = static_cast<double>(hits.size()), m = static_cast<double>(misses.size());
  double a = wins / (n * m), q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
  double variance = (a * (1 - a) + (n - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (n * m);
  double half = 1.96 * std::sqrt(std::max(0.0, variance));
  return {a, a - half, a + half};
}

// One-sided two-sample Kolmogorov-Smirnov: are hits faster? The probability of so large a lead by chance.
double ks_p_value(std::vector<double> hits, std::vector<double> misses) {
  std::sort(hits.begin(), hits.end());
  std::sort(misses.begin(), misses.end());
  double n = static_cast<double>(hits.size()), m = static_cast<double>(misses.size()), lead = 0;
  for (double at : hits) {
    auto below = [at](const std::vector<double>& sorted) {
      return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), at) - sorted.begin());
    };
    lead = std::max(lead, below(hits) / n - below(misses) / m);
  }
  return std::exp(-2 * lead * lead * n * m / (n + m));
}

base::Task<void> first_item(std::shared_ptr<GenerationChannel> channel) { co_await channel->next(); }

// All prompts are of one length in tokens, or their lengths would tell hits from misses.
std::shared_ptr<Generation> cut_to_length(std::shared_ptr<Generation> generation) {
  constexpr std::size_t kPromptTokens = 48;
  EXPECT_GE(generation->request.prompt.size(), kPromptTokens);
  generation->request.prompt.resize(kPromptTokens);
  return generation;
}

// Seconds to the first token.
double time_to_first(Scheduler& engine, RequestContext context, const std::string& text) {
  auto generation = cut_to_length(ask(std::move(context), text, 1));
  auto channel = generation->channel;
  auto began = Clock::now();
  EXPECT_TRUE(engine.submit(std::move(generation)));
  base::run_blocking(first_item(channel));
  double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  wait_for(channel);
  return seconds;
}

struct Times {
  std::vector<double> hits, misses;
};

// The victim asks twenty questions; the prober asks those and twenty others, in random order, each time
// under a fresh session of its own, or, for the control, under the victim's.
Times experiment(int n, const std::string& prober, bool same_session) {
  constexpr unsigned kTexts = 20;
  constexpr std::size_t kWords = 40;
  auto engine = scheduler({.slots = 2, .context = 512});
  RequestContext victim = who("victim", "s", PrefixScope::Session);
  for (unsigned i = 0; i < kTexts; ++i) run(*engine, cut_to_length(ask(victim, words(kWords, i), 1)));
  Times times;
  unsigned random = 7;
  for (int i = 0; i < n; ++i) {
    random = random * 1'103'515'245u + 12'345u;
    bool planted = (random >> 16) % 2 == 0;
    // Misses are texts that nobody has asked before.
    std::string text = words(kWords, planted ? (random >> 20) % kTexts : 1'000u + static_cast<unsigned>(i));
    std::string session = same_session ? "s" : "p" + std::to_string(i);
    double seconds = time_to_first(*engine, who(prober, session, PrefixScope::Session), text);
    (planted ? times.hits : times.misses).push_back(seconds);
  }
  return times;
}

void report(const char* name, const Times& times, const Auc& auc) {
  std::printf("  %s: n = %zu, AUC %.3f (95 %% interval %.3f to %.3f), one-sided KS p = %.3f\n", name,
              times.hits.size() + times.misses.size(), auc.value, auc.low, auc.high,
              ks_p_value(times.hits, times.misses));
}

bool at_chance(const Times& times, const Auc& auc) {
  return auc.low <= 0.5 && ks_p_value(times.hits, times.misses) >= 0.01;
}

TEST(TimingProof, Aisvs_5_3_2_AnotherTenantsPrefixCannotBeTold) {
  Times times = experiment(probes(), "prober", false);
  Auc auc = auc_of(times.hits, times.misses);
  report("another tenant", times, auc);
  if (at_chance(times, auc)) return;
  // One run in thirty falls outside by chance; a leak falls outside each time.
  times = experiment(probes(), "prober", false);
  auc = auc_of(times.hits, times.misses);
  report("another tenant, again", times, auc);
  EXPECT_TRUE(at_chance(times, auc));
}

TEST(TimingProof, ControlInsideTheSessionTheHitShows) {
  Times times = experiment(50, "victim", true);
  Auc auc = auc_of(times.hits, times.misses);
  report("same session", times, auc);
  EXPECT_GT(auc.value, 0.95);
  EXPECT_LT(ks_p_value(times.hits, times.misses), 0.001);
}

// --- order: does a candidate gain a place among dummies because somebody has asked it before? -----------

struct Place {
  int at = -1;
};

base::Task<void> note_place(std::shared_ptr<GenerationChannel> channel, std::atomic<int>& next,
                            Place& place) {
  co_await channel->next();
  place.at = next++;
}

// The candidate's place by first token among eight dummies of its length; all wait before any is served.
int candidate_place(Scheduler& engine, const std::string& tenant, const std::string& session,
                    const std::string& text, unsigned seed) {
  constexpr int kDummies = 8;
  auto blocker = ask(who("blocker"), "Tell a long story.", 500);
  auto blocked = blocker->channel;
  base::CancelToken release = blocker->cancel;
  EXPECT_TRUE(engine.submit(std::move(blocker)));
  while (engine.stats().active < 1) std::this_thread::yield();
  std::vector<std::shared_ptr<GenerationChannel>> channels;
  for (int i = 0; i <= kDummies; ++i) {
    bool candidate = i == kDummies / 2;
    auto generation =
        ask(who(tenant, candidate ? session : session + "d" + std::to_string(i), PrefixScope::Session),
            candidate ? text : words(40, seed * 100 + static_cast<unsigned>(i)), 1);
    channels.push_back(generation->channel);
    EXPECT_TRUE(engine.submit(std::move(generation)));
  }
  std::atomic<int> next{0};
  std::vector<Place> places(channels.size());
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < channels.size(); ++i) {
    readers.emplace_back([&, i] { base::run_blocking(note_place(channels[i], next, places[i])); });
  }
  release.cancel(base::CancelReason::Abandoned);
  engine.wake();
  for (std::thread& reader : readers) reader.join();
  wait_for(blocked);
  return places[kDummies / 2].at;
}

TEST(OrderProof, ACandidateThatSomebodyAskedGainsNoPlace) {
  constexpr int kRounds = 4;
  double known = 0, unknown = 0;
  auto engine = scheduler({.slots = 1, .context = 512});
  std::string planted = words(40, 1);
  run(*engine, ask(who("victim", "s", PrefixScope::Session), planted, 1));
  for (int round = 0; round < kRounds; ++round) {
    auto seed = static_cast<unsigned>(10 + round);
    known += candidate_place(*engine, "prober", "k" + std::to_string(round), planted, seed);
    unknown += candidate_place(*engine, "prober", "u" + std::to_string(round), words(40, 5'000 + seed), seed);
  }
  // In the order of coming, whatever was kept: the middle of nine.
  EXPECT_EQ(known / kRounds, 4);
  EXPECT_EQ(unknown / kRounds, 4);
}

}  // namespace
}  // namespace bulkhead::inference
