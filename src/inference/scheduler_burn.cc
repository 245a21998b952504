// The scheduler's burning: clearing what all sequences share and what one leaves in its slot, and serving no
// more where that fails.
#include "base/log.h"
#include "inference/scheduler.h"

namespace bulkhead::inference {

using base::BurnReport;

BurnReport Scheduler::scrub_shared() {
  BurnReport report = Burner(context_, cache_tensors_, options_.burn, options_.eraser).scrub_shared();
  if (options_.burn) {
    clear_and_check(batch_.token, batch_capacity() * sizeof(Token), base::Memory::Batch, report);
  }
  stats_.burn_micros.fetch_add(report.micros);
  if (!all_proven(report)) stop_serving("shared_memory_not_cleared");
  return report;
}

BurnReport Scheduler::erase_slot(std::size_t slot, std::uint64_t cells) {
  const Burner burner(context_, cache_tensors_, options_.burn, options_.eraser);
  BurnReport report = burner.erase_sequence(static_cast<llama_seq_id>(slot), cells);
  stats_.burn_micros.fetch_add(report.micros);
  if (report.rows == base::RowsFate::Failed) {
    base::log::error("slot_not_cleared", {{"slot", static_cast<std::int64_t>(slot)}});
    withdrawn_.insert(slot);
    stats_.withdrawn = withdrawn_.size();
    if (withdrawn_.size() == slots_.size()) stop_serving("no_slot_left");
  }
  return report;
}

// Nobody's request may meet what could not be cleared: what is submitted from now on is refused, and the
// process is to be replaced.
void Scheduler::stop_serving(const char* why) {
  if (unclean_.exchange(true)) return;
  base::log::error("engine_memory_not_cleared", {{"reason", std::string_view(why)}});
  options_.unclean();
}

}  // namespace bulkhead::inference
