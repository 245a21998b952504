#include "storage/postgres_pool.h"

#include <algorithm>

#include "base/fair_pool.h"

namespace bulkhead::storage {
namespace {

bool same(const PostgresLogin& a, const PostgresLogin& b) {
  return a.user == b.user && a.dbname == b.dbname && a.search_path == b.search_path;
}

base::Error too_busy(const PostgresOptions& options) {
  return base::Error(StorageError::Busy, "The store is busy. Retry in a moment.",
                     "store \"" + options.name + "\": all " + std::to_string(options.connections_max) +
                         " connections are in use; raise connections_max if this goes on");
}

}  // namespace

PostgresPool::Lease::~Lease() {
  if (pool_) pool_->give_back(std::move(login_), std::move(connection_));
}

base::Result<PostgresPool::Lease> PostgresPool::acquire(const std::shared_ptr<const PostgresLogin>& login) {
  Lease lease(this, login);
  std::unique_ptr<PostgresConnection> closed;  // after the lock
  {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + options_.lock_time_max;
    while (true) {
      // The one that was used last is the likeliest to live.
      const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                      [&](const Idle& idle) { return same(*idle.login, *login); });
      if (found != idle_.rend()) {
        lease.connection_ = std::move(found->connection);
        lease.reused_ = true;
        idle_.erase(std::next(found).base());
        return lease;
      }
      if (open_ < options_.connections_max) {
        ++open_;
        break;
      }
      if (!idle_.empty()) {
        closed = std::move(idle_.front().connection);
        idle_.pop_front();
        break;  // its place is taken over
      }
      if (freed_.wait_until(lock, deadline) == std::cv_status::timeout && idle_.empty() &&
          open_ >= options_.connections_max) {
        lease.pool_.reset();
        return too_busy(options_);
      }
    }
  }
  closed.reset();
  auto opened = PostgresConnection::open(options_, *login);
  const bool refused = !opened && opened.error().is(StorageError::Misconfigured);
  if (refused && mend_ && mend_(*login)) opened = PostgresConnection::open(options_, *login);
  if (!opened) return opened.take_error();
  lease.connection_ = std::move(*opened);
  return lease;
}

void PostgresPool::give_back(std::shared_ptr<const PostgresLogin> login,
                             std::unique_ptr<PostgresConnection> connection) {
  const bool lost = !connection || !connection->given_up();
  if (connection && !connection->idle()) connection.reset();
  {
    std::scoped_lock lock(mutex_);
    if (connection) {
      connection->interrupt_when(nullptr);
      idle_.push_back({std::move(login), std::move(connection)});
    } else {
      --open_;
      losses_ += lost ? 1 : 0;
    }
  }
  freed_.notify_all();
}

void PostgresPool::close_idle(const PostgresLogin& login) {
  std::list<Idle> closing;
  {
    std::scoped_lock lock(mutex_);
    for (auto each = idle_.begin(); each != idle_.end();) {
      const auto next = std::next(each);
      if (same(*each->login, login)) closing.splice(closing.end(), idle_, each);
      each = next;
    }
    open_ -= closing.size();
  }
  freed_.notify_all();
}

std::size_t PostgresPool::open_count() const {
  std::scoped_lock lock(mutex_);
  return open_;
}

base::Result<PostgresTransaction> PostgresTransaction::begin(PostgresPool& pool, const PostgresPlace& place,
                                                             Mode mode) {
  if (mode == Mode::Write) base::FairPool::finish_what_runs();
  while (true) {
    BULKHEAD_TRY(lease, pool.acquire(place.login));
    auto begun = lease->execute(mode == Mode::Read ? Sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                                                   : Sql("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"));
    if (!begun) {
      // Nothing was asked for yet, so that it may be tried anew; there are only so many idle ones. A server
      // that doesn't answer on one doesn't answer on the next.
      const bool again = lease.reused() && !lease->silent();
      lease.discard();
      if (again) continue;
      return begun.take_error();
    }
    if (mode == Mode::Read) lease->interrupt_when(base::FairPool::running_cancel());
    PostgresTransaction transaction(std::move(lease));
    if (!place.proof.empty()) {
      BULKHEAD_TRY(set, transaction.run("SELECT set_config('bulkhead.tenant', $1, true), "
                                        "set_config('bulkhead.proof', $2, true)",
                                        place.name, place.proof.reveal_text()));
    }
    return transaction;
  }
}

PostgresTransaction::~PostgresTransaction() {
  if (!lease_.lent() || lease_->idle()) return;
  lease_->interrupt_when(nullptr);
  if (lease_->given_up()) return;
  if (lease_->broken() || !lease_->execute("ROLLBACK").ok()) lease_.discard();
}

base::Result<void> PostgresTransaction::commit() { return lease_->commit(); }

}  // namespace bulkhead::storage
