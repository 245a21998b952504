// The scheduler's admission: whose turn it is, what is set aside for it, what of its prompt is there yet.
#include <algorithm>
#include <map>
#include <utility>

#include "inference/scheduler.h"

namespace bulkhead::inference {

using base::Error;

namespace {

// Shorter prefixes cost less to read than to keep.
constexpr std::size_t kPrefixTokensMin = 32;

Error cancelled() { return Error(InferenceError::Cancelled, "The request was cancelled."); }

bool is_cancelled(const Sequence& sequence) {
  return sequence.generation->abandoned || sequence.generation->cancel.cancelled();
}

const std::string& tenant_of(const Sequence& sequence) { return sequence.request().context.tenant; }

}  // namespace

void Scheduler::drop_cancelled() {
  for (auto& slot : slots_) {
    if (slot && is_cancelled(*slot)) slot->fail(cancelled());
  }
  std::vector<SequencePtr> gone;
  {
    std::lock_guard lock(mutex_);
    lines_.remove_if([](const SequencePtr& waiting) { return is_cancelled(*waiting); },
                     [&gone](SequencePtr sequence) { gone.push_back(std::move(sequence)); });
  }
  for (SequencePtr& sequence : gone) {
    if (std::exchange(sequence->generation->abandoned, true)) continue;  // was told already
    GenerationChannel::Item last;
    last.error = cancelled();
    sequence->generation->channel->push(std::move(last));
  }
}

std::optional<std::size_t> Scheduler::free_slot() const {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot] && !withdrawn_.contains(slot)) return slot;
  }
  return std::nullopt;
}

void Scheduler::admit() {
  while (true) {
    std::optional<std::string> tenant;
    std::optional<std::size_t> victim;
    {
      std::lock_guard lock(mutex_);
      // With a free slot, the tenant with the least service; else the one with the least service among
      // those that are below their share while another is above its own.
      bool room = free_slot().has_value();
      tenant =
          lines_.next([&](const std::string& waiting) { return room || victim_for(waiting).has_value(); });
      if (tenant && !room) victim = victim_for(*tenant);
    }
    if (!tenant) break;
    if (victim) set_aside(*victim);
    SequencePtr next;
    {
      std::lock_guard lock(mutex_);
      next = lines_.take(*tenant);
    }
    auto slot = free_slot();
    if (!slot) {  // the victim's could not be cleared
      std::lock_guard lock(mutex_);
      put_back(std::move(next));
      break;
    }
    place(std::move(next), *slot);
  }
  std::lock_guard lock(mutex_);
  stats_.waiting = lines_.size();
  stats_.waiting_tenants = lines_.parties();
}

double Scheduler::SlotShares::of(const std::string& tenant) const {
  return std::max(1.0, slots * weights.at(tenant) / total);
}

// The lock is held.
Scheduler::SlotShares Scheduler::slot_shares() const {
  SlotShares out;
  out.slots = static_cast<double>(slots_.size() - withdrawn_.size());
  lines_.each_waiting([&](const std::string& waiting, double weight) { out.weights[waiting] = weight; });
  for (const auto& slot : slots_) {
    if (!slot) continue;
    out.holds[tenant_of(*slot)] += 1;
    out.weights[tenant_of(*slot)] = slot->request().context.weight;
  }
  for (const auto& [name, weight] : out.weights) out.total += weight;
  return out;
}

// Slots beyond their tenant's share, the latest ones of each: what another tenant may ask for. None while
// there is a free one.
std::set<std::size_t> Scheduler::borrowed_slots() const {
  if (free_slot()) return {};
  SlotShares shares;
  {
    std::lock_guard lock(mutex_);
    shares = slot_shares();
  }
  std::set<std::size_t> out;
  for (const auto& [tenant, holds] : shares.holds) {
    const auto excess = static_cast<std::ptrdiff_t>(holds - shares.of(tenant));
    if (excess <= 0) continue;
    std::vector<std::size_t> own;
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot] && tenant_of(*slots_[slot]) == tenant) own.push_back(slot);
    }
    std::sort(own.begin(), own.end(),
              [&](std::size_t a, std::size_t b) { return slots_[a]->placed < slots_[b]->placed; });
    out.insert(own.end() - excess, own.end());
  }
  return out;
}

// The slot to be cleared for `tenant`: of a tenant above its share, when this one is below its own.
// The lock is held.
std::optional<std::size_t> Scheduler::victim_for(const std::string& tenant) const {
  if (free_slot()) return std::nullopt;
  SlotShares shares = slot_shares();
  if (shares.holds[tenant] + 1 > shares.of(tenant)) return std::nullopt;
  std::optional<std::size_t> victim;
  double furthest = 1;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot]) continue;  // withdrawn
    const Sequence& sequence = *slots_[slot];
    const std::string& owner = tenant_of(sequence);
    if (owner == tenant || sequence.ended()) continue;
    double excess = shares.holds[owner] / shares.of(owner);
    bool further = excess > furthest;
    // Of one tenant the one that came last goes first: it has least to lose.
    bool later = victim && excess == furthest && sequence.placed > slots_[*victim]->placed;
    if (!further && !later) continue;
    furthest = excess;
    victim = slot;
  }
  return victim;
}

void Scheduler::set_aside(std::size_t slot) {
  SequencePtr sequence = std::move(slots_[slot]);
  if (!sequence->held.empty()) sequence->rows = Rows(rows_of(slot));
  sequence->generation->result.burn.add(erase_slot(slot, sequence->cells_used));
  stats_.set_aside.fetch_add(1);
  stats_.active.fetch_sub(1);
  std::lock_guard lock(mutex_);
  put_back(std::move(sequence));
}

// The lock is held.
void Scheduler::put_back(SequencePtr sequence) {
  const RequestContext& who = sequence->request().context;
  lines_.push_front(who.tenant, who.weight, std::move(sequence));
}

std::vector<std::uint8_t> Scheduler::rows_of(std::size_t slot) const {
  auto id = static_cast<llama_seq_id>(slot);
  std::vector<std::uint8_t> rows(llama_state_seq_get_size(context_, id));
  rows.resize(llama_state_seq_get_data(context_, rows.data(), rows.size(), id));
  return rows;
}

// Puts rows into the slot and keeps the first `keep` of them; on failure the prompt is simply read again.
void Scheduler::restore(Sequence& sequence, std::size_t slot, const std::vector<std::uint8_t>& rows,
                        std::size_t keep) {
  auto id = static_cast<llama_seq_id>(slot);
  bool there = llama_state_seq_set_data(context_, rows.data(), rows.size(), id) > 0;
  if (there) there = llama_memory_seq_rm(llama_get_memory(context_), id, static_cast<llama_pos>(keep), -1);
  if (!there) {
    llama_memory_seq_rm(llama_get_memory(context_), id, -1, -1);
    sequence.cells_used = std::max(sequence.cells_used, sequence.held.size());
    sequence.held.clear();
    // What it had written is read again with the prompt's remainder.
    if (sequence.generated > 0) {
      sequence.fail(Error(InferenceError::Failed, "The engine could not go on with this answer."));
    }
    return;
  }
  sequence.cells_used = std::max({sequence.cells_used, sequence.held.size(), keep});
  sequence.held.resize(keep);
}

std::optional<PrefixKey> Scheduler::prefix_key(const Sequence& sequence) const {
  const RequestContext& who = sequence.request().context;
  if (who.prefix == PrefixScope::Off) return std::nullopt;
  return PrefixKey{who.tenant, who.prefix == PrefixScope::Session ? who.session : "", model_.sha256(), ""};
}

void Scheduler::reuse_prefix(Sequence& sequence, std::size_t slot) {
  auto key = prefix_key(sequence);
  if (!key) return;
  auto match = prefixes_.find(*key, sequence.prompt(), kPrefixTokensMin, std::chrono::steady_clock::now());
  if (!match) return;
  // The last prompt token is always decoded: its logits begin the answer.
  std::size_t keep = std::min(match->common, sequence.prompt().size() - 1);
  sequence.held = match->entry->tokens;
  sequence.cells_used = sequence.held.size();
  restore(sequence, slot, match->entry->state, keep);
  sequence.generation->result.cached_tokens += static_cast<std::int64_t>(sequence.held.size());
  stats_.cached_tokens.fetch_add(sequence.held.size());
}

void Scheduler::place(SequencePtr sequence, std::size_t slot) {
  sequence->placed = ++placed_;
  stats_.active.fetch_add(1);
  Sequence& placed = *sequence;
  slots_[slot] = std::move(sequence);
  if (!placed.rows.empty()) {
    restore(placed, slot, placed.rows.bytes(), placed.held.size());
    placed.rows = Rows();
  } else if (placed.start) {
    placed.held = placed.prompt();
    restore(placed, slot, placed.start->bytes(), placed.prompt().size() - 1);
    placed.start.reset();
  } else if (!placed.started) {
    reuse_prefix(placed, slot);
  }
  if (placed.started) return;
  placed.started = true;
  auto waited = std::chrono::steady_clock::now() - placed.arrived;
  stats_.admitted.fetch_add(1);
  stats_.wait_micros.fetch_add(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
  std::lock_guard lock(mutex_);
  lines_.charge(tenant_of(placed), static_cast<double>(placed.prompt().size() - placed.held.size()));
}

// The first choice has read the prompt; the others begin from its rows.
void Scheduler::begin_other_choices(Sequence& first, std::size_t slot) {
  std::shared_ptr<Generation> generation = first.generation;
  auto start = std::make_shared<const Rows>(rows_of(slot));
  for (std::size_t choice = 1; choice < generation->request.n; ++choice) {
    auto other = std::make_unique<Sequence>(generation, choice);
    other->sampler = std::move(generation->samplers[choice]);
    other->generated_max = first.generated_max;
    other->start = start;
    other->arrived = std::chrono::steady_clock::now();
    std::lock_guard lock(mutex_);
    put_back(std::move(other));
  }
}

}  // namespace bulkhead::inference
