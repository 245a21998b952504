#include "audit/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "audit/chain.h"
#include "audit/reserve.h"
#include "audit/shares.h"
#include "audit/tail.h"
#include "base/file.h"
#include "base/log.h"

namespace bulkhead::audit {

using base::Error;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kKeptBytesMax = 1 << 20;
constexpr std::string_view kReserveFile = ".reserve";
constexpr std::size_t kKeyBytesMax = 1024;
constexpr off_t kProbeBytes = 64 << 10;
// A commit costs the same for one record and for a thousand, and a fast disk would let every record have
// its own. So commits begin no closer together than a time that grows with the records that come: none
// waits when few come, and at the most it is far less than an engine's first token takes.
constexpr std::chrono::duration<double> kGatherTimeMax{1e-3};
constexpr double kRecordsForGatherTimeMax = 20'000;  // a second
constexpr std::chrono::duration<double> kRateWindow{10e-3};

// How long to gather, from how many records came lately. The writer thread's own.
class Pace {
 public:
  // Call as each commit begins.
  void commits(std::size_t records, base::MonotonicTime now) {
    std::chrono::duration<double> since = now - began_;
    began_ = now;
    double weight = std::min(1.0, since / kRateWindow);
    double rate = static_cast<double>(records) / std::max(since.count(), 1e-6);
    rate_ += weight * (rate - rate_);
  }
  base::MonotonicTime next() const {
    double load = std::min(1.0, rate_ / kRecordsForGatherTimeMax);
    auto gather = kGatherTimeMax * load * load;  // late: at half the load there is time to spare
    return began_ + std::chrono::duration_cast<base::MonotonicTime::duration>(gather);
  }

 private:
  base::MonotonicTime began_{};
  double rate_ = 0;
};

Error system_error(const std::filesystem::path& path, const char* what) {
  return Error(AuditError::Io,
               std::string("The audit log could not be opened: ") + what + ": " + std::strerror(errno),
               path.string());
}

Error unavailable(std::string detail) {
  return Error(AuditError::Unavailable,
               "The audit log can't be written just now, so nothing is answered. Try again later.",
               std::move(detail));
}

}  // namespace

base::ErrorName error_name(AuditError code) {
  switch (code) {
    case AuditError::Unavailable: return {"audit", "unavailable"};
    case AuditError::OutcomeUnrecorded: return {"audit", "outcome_unrecorded"};
    case AuditError::ShareUsed: return {"audit", "audit_share_used"};
    case AuditError::Corrupt: return {"audit", "corrupt"};
    case AuditError::RolledBack: return {"audit", "rolled_back"};
    case AuditError::Io: return {"audit", "io"};
    case AuditError::BadQuery: return {"audit", "bad_query"};
    case AuditError::Locked: return {"audit", "locked"};
  }
  return {"audit", "unknown"};
}

struct Log::Ticket::State {
  base::Event done;
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
  std::optional<Position> position;  // none: failed

  void finish(std::optional<Position> where) {
    {
      std::lock_guard lock(mutex);
      finished = true;
      position = where;
    }
    changed.notify_all();
    done.set();
  }
  Result<Position> result() {
    std::lock_guard lock(mutex);
    if (position) return *position;
    return unavailable("record was not made durable");
  }
};

Task<Result<Position>> Log::Ticket::durable() {
  std::shared_ptr<State> state = state_;
  co_await state->done;
  co_return state->result();
}

Result<Position> Log::Ticket::wait() {
  {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return state_->finished; });
  }
  return state_->result();
}

struct Log::Impl {
  LogOptions options;
  crypto::SigningKey key;
  const base::Clock& clock;

  // Records as they wait: their members in one text, so that a record costs no memory of its own that
  // one thread takes and another gives back.
  struct Pending {
    std::size_t bytes;  // of its members
    bool may_use_reserve;
    std::shared_ptr<Ticket::State> ticket;
  };
  struct Batch {
    std::string members;
    std::vector<Pending> records;
  };
  mutable std::mutex mutex;
  std::condition_variable ready, stopped;
  Batch queue;
  bool stopping = false;
  bool failing = false;
  Position head;
  Stats stats{};
  std::function<void(std::string)> listener;
  std::thread writer;
  int lock_fd = -1;

  // The writer thread's own.
  int fd = -1;
  std::uint64_t segment_bytes = 0;
  std::uint64_t records_since_checkpoint = 0;
  std::string commit_bytes;  // kept for its memory: a batch is large, and holds no payload
  std::vector<Position> commit_positions;
  DiskReserve reserve;
  int write_errno = 0;  // of the last write that failed
  base::MonotonicTime last_checkpoint{};
  Pace pace;

  TenantShares shares;

  Impl(LogOptions o, crypto::SigningKey k, const base::Clock& c)
      : options(std::move(o)),
        key(std::move(k)),
        clock(c),
        reserve(options.dir / kReserveFile, options.reserve_bytes),
        shares(options.tenant_bytes_per_hour, c) {}

  ~Impl() {
    if (fd >= 0) ::close(fd);
    if (lock_fd >= 0) ::close(lock_fd);
  }

  Result<void> open_segment(const std::filesystem::path& path, bool fresh) {
    int opened = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | (fresh ? O_CREAT | O_EXCL : 0), 0600);
    if (opened < 0) return system_error(path, "open");
    if (fresh) {
      int folder = ::open(options.dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      int synced = folder >= 0 ? ::fsync(folder) : -1;
      if (folder >= 0) ::close(folder);
      if (synced != 0) {
        ::close(opened);
        return system_error(path, "sync folder");
      }
    }
    if (fd >= 0) ::close(fd);
    fd = opened;
    return Result<void>();
  }

  Result<void> start(const Tail& tail) {
    head = tail.position;
    segment_bytes = tail.segment_bytes;
    last_checkpoint = clock.monotonic();
    if (tail.segment.empty()) {
      std::string first = sign_checkpoint({options.origin, 0, {}, base::rfc3339(clock.wall())}, key);
      BULKHEAD_CHECK_OK(base::write_file_atomically(options.dir / kHeadFile, first + "\n", 0644));
      BULKHEAD_CHECK_OK(open_segment(options.dir / segment_name(1), true));
    } else {
      // Bytes after the last whole line were never acknowledged to anyone.
      if (tail.was_torn && ::truncate(tail.segment.c_str(), static_cast<off_t>(segment_bytes)) != 0) {
        return system_error(tail.segment, "truncate");
      }
      BULKHEAD_CHECK_OK(open_segment(tail.segment, false));
    }
    if (!reserve.fill()) {
      failing = true;
      base::log::error("audit_reserve_missing",
                       {{"bytes", static_cast<std::int64_t>(options.reserve_bytes)}});
    }
    stats.reserve_held = reserve.held();
    writer = std::thread([this] { run(); });
    return Result<void>();
  }

  // --- writer thread ---

  void run() {
    Batch batch;
    while (true) {
      bool last;
      {
        std::unique_lock lock(mutex);
        ready.wait_for(lock, options.checkpoint_interval,
                       [this] { return stopping || !queue.records.empty(); });
        std::swap(batch, queue);  // the old batch's memory serves the next one
        last = stopping;
      }
      if (!batch.records.empty()) {
        pace.commits(batch.records.size(), clock.monotonic());
        commit(batch);
      } else {
        recover();
      }
      forget(batch);
      gather();
      maybe_checkpoint(last);
      if (last) {
        std::lock_guard lock(mutex);
        if (queue.records.empty()) return;
      }
    }
  }

  void gather() {
    auto left = pace.next() - clock.monotonic();
    if (left <= left.zero()) return;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, left, [this] { return stopping; });
  }

  static void forget(Batch& batch) {
    batch.records.clear();
    batch.members.clear();
    if (batch.members.capacity() > kKeptBytesMax) batch = Batch();
  }

  void commit(Batch& batch) {
    auto began = clock.monotonic();
    // Whoever may not use the reserve waits for nothing while it isn't whole: the disk is full.
    bool all = reserve.fill() && write_records(batch, false);
    std::size_t written = all ? batch.records.size() : 0;
    if (!all) written = write_with_reserve(batch);
    std::chrono::duration<double> took = clock.monotonic() - began;
    {
      std::lock_guard lock(mutex);
      failing = !all;
      stats.reserve_held = reserve.held();
      if (written > 0) {
        head = commit_positions.back();
        stats.records += written;
        stats.bytes += commit_bytes.size();
        ++stats.commits;
        stats.last_commit_seconds = took.count();
      }
      if (!all) ++stats.failures;
    }
    records_since_checkpoint += written;
    std::size_t next = 0;
    for (const Pending& pending : batch.records) {
      bool stands = written > 0 && (all || pending.may_use_reserve);
      pending.ticket->finish(stands ? std::optional(commit_positions[next++]) : std::nullopt);
    }
  }

  // Lays the batch's records out along the chain and writes them, all or only those that may use the reserve.
  bool write_records(const Batch& batch, bool reserved_only) {
    Position at = head_copy();
    std::string& bytes = commit_bytes;
    bytes.clear();
    if (bytes.capacity() > kKeptBytesMax) bytes.shrink_to_fit();
    bytes.reserve(batch.members.size() + batch.records.size() * kLineFrameBytes);
    commit_positions.clear();
    std::string_view members = batch.members;
    for (const Pending& pending : batch.records) {
      std::string_view own = members.substr(0, pending.bytes);
      members.remove_prefix(pending.bytes);
      if (reserved_only && !pending.may_use_reserve) continue;
      std::size_t begin = bytes.size();
      append_line(bytes, at.seq + 1, at.hash, own);
      at = {at.seq + 1, line_hash(std::string_view(bytes).substr(begin))};
      commit_positions.push_back(at);
      bytes += '\n';
    }
    return !bytes.empty() && write_durably(bytes);
  }

  // The records that may use the reserve, on a disk that is full. How many were written.
  std::size_t write_with_reserve(const Batch& batch) {
    if (write_records(batch, true)) return commit_positions.size();
    if (commit_bytes.empty() || !spend_reserve(commit_bytes.size())) return 0;
    return write_records(batch, true) ? commit_positions.size() : 0;
  }

  bool spend_reserve(std::size_t bytes) {
    bool full = fd >= 0 && (write_errno == ENOSPC || write_errno == EDQUOT);
    return full && reserve.spend(bytes);
  }

  // Finds out, while nobody asks for a record, whether there is room again.
  void recover() {
    {
      std::lock_guard lock(mutex);
      if (!failing) return;
    }
    bool room = fd >= 0 && reserve.fill() &&
                (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(segment_bytes), kProbeBytes) == 0 ||
                 errno == EOPNOTSUPP);
    std::lock_guard lock(mutex);
    stats.reserve_held = reserve.held();
    if (room) failing = false;
  }

  // All or nothing: a short or failed write is cut off again, so that no half line stands there.
  bool write_durably(std::string_view bytes) {
    if (fd < 0) return false;
    std::uint64_t before = segment_bytes;
    std::string_view left = bytes;
    while (!left.empty()) {
      ssize_t put = ::write(fd, left.data(), left.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return undo(before, "write");
      left.remove_prefix(static_cast<std::size_t>(put));
    }
    if (::fdatasync(fd) != 0) return undo(before, "fdatasync");
    segment_bytes += bytes.size();
    return true;
  }

  bool undo(std::uint64_t before, const char* what) {
    write_errno = errno;
    base::log::error("audit_write_failed",
                     {{"what", std::string_view(what)}, {"errno", std::int64_t{errno}}});
    if (::ftruncate(fd, static_cast<off_t>(before)) != 0 || ::fdatasync(fd) != 0) {
      // What is on disk now is unknown: nothing more may be appended after it.
      ::close(fd);
      fd = -1;
    }
    return false;
  }

  void maybe_checkpoint(bool last) {
    auto now = clock.monotonic();
    bool due = records_since_checkpoint >= options.checkpoint_records ||
               now - last_checkpoint >= options.checkpoint_interval || last;
    if (records_since_checkpoint == 0 || !due) return;
    Position at = head_copy();
    Checkpoint checkpoint{options.origin, at.seq, at.hash, base::rfc3339(clock.wall())};
    std::string covered = sign_checkpoint(checkpoint, key);
    std::string line = make_line(at.seq + 1, at.hash, "\"checkpoint\":" + covered);
    line += '\n';
    if (!write_durably(line) && !(spend_reserve(line.size()) && write_durably(line))) return;
    line.pop_back();
    Position after{at.seq + 1, line_hash(line)};
    {
      std::lock_guard lock(mutex);
      head = after;
    }
    records_since_checkpoint = 0;
    last_checkpoint = now;
    // The head file states the checkpoint's own line, so that cutting it off shows too.
    publish(sign_checkpoint({options.origin, after.seq, after.hash, checkpoint.time}, key));
    if (segment_bytes >= options.segment_bytes_max) rotate(after);
  }

  void publish(const std::string& signed_head) {
    auto note = [](Result<void> written, const char* where) {
      if (!written) {
        base::log::error("audit_head_not_written", {{"where", std::string_view(where)},
                                                    {"detail", std::string_view(written.error().detail())}});
      }
    };
    note(base::write_file_atomically(options.dir / kHeadFile, signed_head + "\n", 0644), "head");
    if (!options.witness_dir.empty()) {
      note(base::write_file_atomically(options.witness_dir / kHeadFile, signed_head + "\n", 0644), "witness");
    }
    std::function<void(std::string)> tell;
    {
      std::lock_guard lock(mutex);
      tell = listener;
    }
    if (tell) tell(signed_head);
  }

  void rotate(const Position& at) {
    auto opened = open_segment(options.dir / segment_name(at.seq + 1), true);
    if (!opened) {
      base::log::error("audit_rotate_failed", {{"detail", std::string_view(opened.error().message())}});
      return;
    }
    segment_bytes = 0;
  }

  Position head_copy() const {
    std::lock_guard lock(mutex);
    return head;
  }
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Log::~Log() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->ready.notify_all();
  impl_->stopped.notify_all();
  if (impl_->writer.joinable()) impl_->writer.join();
}

Result<std::unique_ptr<Log>> Log::open(LogOptions options, crypto::SigningKey key, const base::Clock& clock) {
  BULKHEAD_CHECK_OK(base::make_private_directory(options.dir));
  if (!options.witness_dir.empty()) BULKHEAD_CHECK_OK(base::make_private_directory(options.witness_dir));
  std::filesystem::path lock_path = options.dir / ".lock";
  int lock_fd = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd < 0) return system_error(lock_path, "open");
  if (::flock(lock_fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_fd);
    return Error(AuditError::Locked,
                 "Another process writes this audit log: is `bulkhead serve` "
                 "running already?",
                 lock_path.string());
  }
  auto tail = read_tail(options.dir, key.verify_key());
  if (!tail) {
    ::close(lock_fd);
    return tail.take_error();
  }
  if (auto held = check_kept_heads(options, key.verify_key()); !held) {
    ::close(lock_fd);
    return held.take_error();
  }
  std::string public_key = key.verify_key().base64url() + "\n";
  auto impl = std::make_unique<Impl>(std::move(options), std::move(key), clock);
  impl->lock_fd = lock_fd;
  const std::filesystem::path key_file = impl->options.dir / kKeyFile;
  // A start on a full disk must not fail by a file that is there.
  if (base::read_file(key_file, kKeyBytesMax).value_or("") != public_key) {
    BULKHEAD_CHECK_OK(base::write_file_atomically(key_file, public_key, 0644));
  }
  BULKHEAD_CHECK_OK(impl->start(*tail));
  auto log = std::unique_ptr<Log>(new Log(std::move(impl)));
  if (tail->was_torn) {
    Record record;
    record.time = clock.wall();
    record.event = Event::ServiceStarted;
    record.note = "unacknowledged_bytes_cut_after_crash";
    BULKHEAD_CHECK_OK(log->append(record).wait());
  }
  for (const OpenChanges::Change& change : tail->changes.open()) {
    Record record = change.record;
    record.time = clock.wall();
    record.event = Event::OutcomeUnknown;
    record.reason = "process_ended";
    record.concludes = true;
    BULKHEAD_CHECK_OK(log->append(record).wait());
  }
  return log;
}

Log::Ticket Log::append(const Record& record) {
  auto state = std::make_shared<Ticket::State>();
  std::string members = record_members(record);
  if (takes_from_share(record)) impl_->shares.charge(record.tenant, members.size() + kLineFrameBytes);
  bool queued = false;
  {
    std::lock_guard lock(impl_->mutex);
    Impl::Batch& queue = impl_->queue;
    if (!impl_->stopping && queue.records.size() < impl_->options.queue_records_max &&
        members.size() < kLineBytesMax - 256) {
      queue.members += members;
      queue.records.push_back({members.size(), may_use_reserve(record), state});
      queued = true;
    }
  }
  if (queued) {
    impl_->ready.notify_one();
  } else {
    state->finish(std::nullopt);
  }
  return Ticket(state);
}

Result<void> Log::admit(std::string_view tenant, std::int64_t& retry_after) {
  const std::chrono::seconds wait = impl_->shares.until_room(tenant);
  if (wait.count() == 0) return Result<void>();
  retry_after = wait.count();
  return Error(AuditError::ShareUsed,
               "Your tenant has used its share of the audit log, so nothing more can be recorded for it just "
               "now. Try again in " +
                   std::to_string(wait.count()) + " s, or ask your operator for a larger share.");
}

bool Log::healthy() const {
  std::lock_guard lock(impl_->mutex);
  return !impl_->failing;
}

Position Log::head() const { return impl_->head_copy(); }
crypto::VerifyKey Log::verify_key() const { return impl_->key.verify_key(); }

void Log::on_checkpoint(std::function<void(std::string)> listener) {
  std::lock_guard lock(impl_->mutex);
  impl_->listener = std::move(listener);
}

Log::Stats Log::stats() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

}  // namespace bulkhead::audit
