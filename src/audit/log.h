// The tamper-evident audit log.
//
// Form: JSON lines in segment files audit-<first seq, 12 digits>.jsonl under `dir`. Each line holds
// "seq" and "prev" (hash of the line before, across segments), so any edit, cut or reorder breaks
// the chain. Signed checkpoints (Ed25519 over origin, seq, hash, time) stand in the log itself, and
// the newest one in audit-head.json (from the first moment on, so that a missing one is found),
// replaced at each; a copy goes to `witness_dir` when configured
// (another disk or mount): a log rolled back together with its head file is caught by that copy, by
// the platform database's copy, and by any burn receipt a client kept.
//
// Durability: `append` hands a record to the writer thread, which writes what has gathered as one batch,
// fdatasyncs once and completes all waiters (group commit; under load a batch gathers for up to a
// millisecond). A caller that must not answer before its record is on disk awaits `durable`. When the disk is
// full or fails, the batch is cut off again whole, its appends fail and the gateway answers 503 (invariant
// I9); the next batch tries anew. Only when the file's end is unknown (the cut failed too) does it stay
// failing until restart.
//
// Room: a reserve on the disk (reserve.h) is kept for operators' acts, what the system says, and the ends of
// what began; on a full disk those are still written while everything else is refused. `admit` refuses a
// tenant that has used its share of the log (shares.h), and nobody else.
//
// Thread safety: all members from every thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/record.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "crypto/hash.h"
#include "crypto/signature.h"

namespace bulkhead::audit {

enum class AuditError {
  Unavailable,
  OutcomeUnrecorded,
  ShareUsed,
  Corrupt,
  RolledBack,
  Io,
  BadQuery,
  Locked
};
base::ErrorName error_name(AuditError code);

struct Position {
  std::uint64_t seq = 0;
  crypto::Digest hash{};
};

struct LogOptions {
  std::filesystem::path dir;
  std::filesystem::path witness_dir;  // empty: none
  std::string origin = "bulkhead";    // names the deployment in checkpoints
  std::uint64_t segment_bytes_max = 64u << 20;
  std::uint64_t checkpoint_records = 10'000;
  std::chrono::seconds checkpoint_interval{10};
  std::size_t queue_records_max = 65'536;
  std::uint64_t reserve_bytes = 0;          // of disk; 0: none
  std::uint64_t tenant_bytes_per_hour = 0;  // that one tenant's principals may take; 0: no bound
  // Signed heads kept elsewhere, each one line of JSON with a word on where it was kept; the log must
  // hold every one of them. (The witness copy is compared too.)
  struct KeptHead {
    std::string json, where;
  };
  std::vector<KeptHead> kept_heads;
  // Opens the log although a kept head or the witness copy says that it was cut or rolled back. Only for
  // an operator who has looked into it; the caller records that.
  bool accept_lost_heads = false;
};

class Log {
 public:
  // Opens or makes the log: verifies the tail of the newest segment against the head (a torn last
  // line from a crash, never acknowledged, is cut off and noted in a record of its own; anything
  // else that doesn't fit is Corrupt and refuses to start), and that the log holds every head that was
  // kept elsewhere (RolledBack otherwise).
  static base::Result<std::unique_ptr<Log>> open(LogOptions options, crypto::SigningKey key,
                                                 const base::Clock& clock);
  ~Log();  // writes what is queued, a last checkpoint, closes

  // A handle on one queued record.
  class Ticket {
   public:
    // Resumes when the record is on disk: its position, or Unavailable.
    base::Task<base::Result<Position>> durable();
    // For threads: waits.
    base::Result<Position> wait();
    struct State;
    explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}

   private:
    std::shared_ptr<State> state_;
  };
  Ticket append(const Record& record);

  // Refuses, with ShareUsed, what a principal of this tenant is about to begin when the tenant has used its
  // share of the log. `retry_after` is in seconds.
  base::Result<void> admit(std::string_view tenant, std::int64_t& retry_after);

  // Nothing is failing right now, and the reserve is whole.
  bool healthy() const;
  Position head() const;
  crypto::VerifyKey verify_key() const;
  // Called by the writer thread with each new signed checkpoint (one line of JSON).
  void on_checkpoint(std::function<void(std::string)> listener);

  struct Stats {
    std::uint64_t records, commits, bytes, failures;
    std::uint64_t reserve_held;  // bytes of the disk reserve
    double last_commit_seconds;
  };
  Stats stats() const;

 private:
  struct Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::audit
