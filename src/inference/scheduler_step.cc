// The scheduler's step: what goes into the next batch, decoding it, and ending what has ended.
#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/log.h"
#include "inference/reading_shares.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {

using base::Error;

namespace {

constexpr double kAnswerTokenCost = 2;
constexpr double kWrongGuessCost = 1;
// Prompt tokens that share a step with streams: what can be read in this time, within these bounds.
constexpr double kChunkSeconds = 0.4;
constexpr std::size_t kChunkMin = 64;
constexpr std::size_t kPrefixTokensKeptMin = 32;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

}  // namespace

std::vector<std::size_t> Scheduler::runnable(bool exclusive) const {
  std::vector<std::size_t> out;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    const SequencePtr& sequence = slots_[slot];
    if (sequence && !sequence->ended() && sequence->request().context.exclusive == exclusive)
      out.push_back(slot);
  }
  return out;
}

void Scheduler::step() {
  auto began = Clock::now();
  std::vector<std::size_t> shared = runnable(false);
  if (!shared.empty()) decode(shared, prompt_budget(shared));
  for (std::size_t slot : runnable(true)) decode({slot}, options_.batch_tokens);
  stats_.busy_micros.fetch_add(static_cast<std::uint64_t>(seconds_since(began) * 1e6));
}

std::size_t Scheduler::prompt_budget(const std::vector<std::size_t>& slots) const {
  bool streams =
      std::any_of(slots.begin(), slots.end(), [this](std::size_t s) { return !slots_[s]->reading(); });
  if (!streams || !reading_speed_.known()) return options_.batch_tokens;
  return std::clamp(reading_speed_.tokens_in(kChunkSeconds), std::min(kChunkMin, options_.batch_tokens),
                    options_.batch_tokens);
}

std::vector<std::size_t> Scheduler::prompt_shares(const std::vector<std::size_t>& slots,
                                                  std::size_t budget) const {
  const std::set<std::size_t> borrowed = borrowed_slots();
  std::vector<PromptReader> readers;
  for (std::size_t slot : slots) {
    const Sequence& sequence = *slots_[slot];
    const RequestContext& who = sequence.request().context;
    PromptReader reader{who.tenant, sequence.placed};
    if (sequence.reading()) reader.wanted = sequence.prompt().size() - sequence.held.size();
    // How an exclusive sequence is read depends on nobody else.
    reader.borrowed = !who.exclusive && borrowed.contains(slot);
    readers.push_back(std::move(reader));
  }
  return reading_shares(readers, budget);
}

void Scheduler::add_token(Token token, std::size_t position, std::size_t slot, bool logits) {
  int at = batch_.n_tokens++;
  batch_.token[at] = token;
  batch_.pos[at] = static_cast<llama_pos>(position);
  batch_.n_seq_id[at] = 1;
  batch_.seq_id[at][0] = static_cast<llama_seq_id>(slot);
  batch_.logits[at] = logits ? 1 : 0;
}

// How many tokens each running answer may guess in this step: none while a prompt is read or another tenant
// is served in it.
std::size_t Scheduler::guesses_a_sequence(const std::vector<std::size_t>& slots) const {
  if (!options_.lookahead) return 0;
  const RequestContext& first = slots_[slots.front()]->request().context;
  bool alone = !first.exclusive && std::all_of(slots.begin(), slots.end(), [&](std::size_t slot) {
    return !slots_[slot]->reading() && slots_[slot]->request().context.tenant == first.tenant;
  });
  return alone ? kGuessesAStepMax / slots.size() : 0;
}

// The answer's next token, and behind it what may follow.
void Scheduler::add_next(Sequence& sequence, std::size_t slot, std::size_t guesses, std::size_t answers) {
  sequence.logits_at = batch_.n_tokens;
  if (guesses > 0) {
    auto left = static_cast<std::size_t>(sequence.generated_max - sequence.generated - 1);
    std::size_t worth = sequence.guesses.worth(step_cost_, answers);
    sequence.guessed = guess_next(sequence.held, sequence.next, std::min({guesses, worth, left}));
  }
  add_token(sequence.next, sequence.held.size(), slot, true);
  sequence.hold(sequence.next);
  for (std::size_t i = 0; i < sequence.guessed.size(); ++i) {
    add_token(sequence.guessed[i], sequence.held.size() + i, slot, true);
  }
  sequence.cells_used = std::max(sequence.cells_used, sequence.held.size() + sequence.guessed.size());
}

void Scheduler::decode(const std::vector<std::size_t>& slots, std::size_t budget) {
  batch_.n_tokens = 0;
  std::vector<std::size_t> shares = prompt_shares(slots, budget);
  std::size_t guesses = guesses_a_sequence(slots);
  std::size_t read = 0;
  // Ascending slots: llama.cpp splits unordered batches into slower pieces.
  for (std::size_t i = 0; i < slots.size(); ++i) {
    Sequence& sequence = *slots_[slots[i]];
    sequence.logits_at = -1;
    sequence.guessed.clear();
    if (!sequence.reading()) {
      add_next(sequence, slots[i], guesses, slots.size());
      continue;
    }
    for (std::size_t k = 0; k < shares[i]; ++k) {
      std::size_t position = sequence.held.size();
      bool last = position + 1 == sequence.prompt().size();
      if (last) sequence.logits_at = batch_.n_tokens;
      add_token(sequence.prompt()[position], position, slots[i], last);
      sequence.hold(sequence.prompt()[position]);
    }
    read += shares[i];
  }
  if (batch_.n_tokens == 0) return;
  const Generation* only = slots_[slots.front()]->generation.get();
  const bool alone = std::all_of(slots.begin(), slots.end(),
                                 [&](std::size_t slot) { return slots_[slot]->generation.get() == only; });
  pulse_.at_request(alone ? only->request.context.request_id : "");
  auto began = Clock::now();
  int status = llama_decode(context_, batch_);
  learn_costs(read, seconds_since(began));
  pulse_.beat();
  stats_.steps.fetch_add(1);
  stats_.prompt_tokens.fetch_add(read);
  if (status != 0) base::log::error("decode_failed", {{"status", std::int64_t{status}}});
  std::map<std::string, double> costs;
  for (std::size_t slot : slots) {
    Sequence& sequence = *slots_[slot];
    if (status != 0) {
      sequence.fail(Error(InferenceError::Failed, "The engine failed on this batch.",
                          "llama_decode gave " + std::to_string(status)));
    } else if (sequence.logits_at >= 0) {
      pulse_.at_request(sequence.request().context.request_id);
      bool first = sequence.generated == 0 && sequence.choice == 0;
      costs[sequence.request().context.tenant] += sample_all(sequence, slot);
      if (first && sequence.request().n > 1) begin_other_choices(sequence, slot);
    }
  }
  pulse_.at_request("");
  // The batch's ids are of no more use.
  std::fill(batch_.token, batch_.token + batch_.n_tokens, 0);
  std::lock_guard lock(mutex_);
  for (const auto& [tenant, cost] : costs) lines_.charge(tenant, cost);
}

void Scheduler::learn_costs(std::size_t read, double seconds) {
  const std::size_t answers = static_cast<std::size_t>(batch_.n_tokens) - read;
  if (read == 0) {
    step_cost_.learn(answers, seconds);
  } else {
    reading_speed_.learn(read, answers, step_cost_, seconds);
  }
}

// Draws the next token, and goes on as long as what it drew was guessed. What it cost.
double Scheduler::sample_all(Sequence& sequence, std::size_t slot) {
  sample(sequence, sequence.logits_at);
  std::size_t guessed = sequence.guessed.size(), right = 0;
  while (right < guessed && !sequence.ended() && sequence.next == sequence.guessed[right]) {
    sequence.hold(sequence.next);
    ++right;
    sample(sequence, sequence.logits_at + static_cast<std::int32_t>(right));
  }
  if (right < guessed) {
    llama_memory_seq_rm(llama_get_memory(context_), static_cast<llama_seq_id>(slot),
                        static_cast<llama_pos>(sequence.held.size()), -1);
  }
  if (guessed == 0) sequence.guesses.pass();
  sequence.guesses.add(guessed, right);
  stats_.guessed_tokens.fetch_add(guessed);
  stats_.guessed_right.fetch_add(right);
  return kAnswerTokenCost * static_cast<double>(right + 1) +
         kWrongGuessCost * static_cast<double>(guessed - right);
}

void Scheduler::sample(Sequence& sequence, std::int32_t at) {
  const float* logits = llama_get_logits_ith(context_, at);
  std::optional<Token> token = sequence.sampler->sample(logits);
  if (!token) {
    sequence.fail(
        Error(InferenceError::BadGrammar, "The answer could not be brought into the format asked for."));
    return;
  }
  std::optional<TokenLogprob> logprob;
  if (sequence.sampler->reports_logprobs() && !model_.ends_generation(*token)) {
    logprob = sequence.sampler->logprob(logits, *token);
  }
  sequence.accept(model_, *token, std::move(logprob));
  stats_.generated_tokens.fetch_add(1);
}

void Scheduler::finish_ended() {
  std::vector<std::size_t> ended;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] && slots_[slot]->ended()) ended.push_back(slot);
  }
  if (ended.empty()) return;
  // All logits of this step have been sampled from: the shared buffers may go.
  const base::BurnReport shared = scrub_shared();
  for (std::size_t slot : ended) end(slot, shared);
}

void Scheduler::end(std::size_t slot, base::BurnReport report) {
  SequencePtr sequence = std::move(slots_[slot]);
  auto key = prefix_key(*sequence);
  std::uint64_t kept = 0;
  if (key && !sequence->failure && sequence->choice == 0 && sequence->held.size() >= kPrefixTokensKeptMin) {
    PrefixCache::Entry entry{sequence->held, rows_of(slot), sequence->request().context.prefix_lifetime, {}};
    if (prefixes_.keep(*key, std::move(entry), Clock::now())) kept = sequence->held.size();
  }
  report.add(erase_slot(slot, sequence->cells_used));
  report.tokens_kept = kept;
  if (kept > 0 || (key && sequence->generation->result.cached_tokens > 0)) {
    const RequestContext& who = sequence->request().context;
    report.reuse = who.prefix == PrefixScope::Tenant ? base::RowsReuse::Tenant : base::RowsReuse::Session;
    report.reuse_seconds = static_cast<std::uint64_t>(who.prefix_lifetime.count());
  }
  stats_.burns.fetch_add(1);
  stats_.active.fetch_sub(1);
  finish_generation(*sequence, report);
}

void Scheduler::finish_generation(Sequence& sequence, const base::BurnReport& burned) {
  std::shared_ptr<Generation> generation = sequence.generation;
  GenerationResult& result = generation->result;
  result.burn.add(burned);
  result.completion_tokens += sequence.generated;
  if (generation->choices_left == 0) return;  // another choice has failed, and all was said
  GenerationChannel::Item last;
  last.choice = sequence.choice;
  last.tokens = sequence.take_untold();
  if (sequence.failure) {
    last.error = std::move(sequence.failure);
    generation->choices_left = 0;
    generation->abandoned = true;
  } else {
    last.text = sequence.text.stopped() ? "" : sequence.text.finish();
    last.finish_reason = sequence.finish_reason;
    generation->choices_left -= 1;
  }
  bool complete = !last.error && generation->choices_left == 0;
  if (complete) {
    result.prompt_tokens = static_cast<std::int64_t>(generation->request.prompt.size());
    last.result = result;
  }
  if (complete && options_.burn) {
    base::wipe(generation->request.prompt.data(), generation->request.prompt.size() * sizeof(Token));
  }
  std::shared_ptr<GenerationChannel> channel = generation->channel;
  generation.reset();
  channel->push(std::move(last));
}

}  // namespace bulkhead::inference
