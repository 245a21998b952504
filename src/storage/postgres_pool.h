// The connections to one PostgreSQL server: at most `connections_max`, all roles together. An idle one is
// lent again to the same role and database only; when the bound is reached, another role's idle one is
// closed for it, and else the caller waits, at most `lock_time_max` (then Busy).
//
// A connection goes back only when it is connected and outside every transaction; whatever else its
// state, it is closed. So nothing of one request (an open transaction, a transaction's settings) can
// reach the next.
//
// Thread safety: all members from every thread. Logins are shared, because connections outlive calls.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "storage/postgres_connection.h"

namespace bulkhead::storage {

class PostgresPool {
 public:
  explicit PostgresPool(PostgresOptions options) : options_(std::move(options)) {}

  // Called when the server refuses a login; true: something was mended, and it is tried once more. Before any
  // other call.
  using Mender = std::function<bool(const PostgresLogin& login)>;
  void on_refused_login(Mender mend) { mend_ = std::move(mend); }

  class Lease {
   public:
    Lease(Lease&& other) noexcept = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    PostgresConnection& operator*() const { return *connection_; }
    PostgresConnection* operator->() const { return connection_.get(); }
    bool reused() const { return reused_; }
    bool lent() const { return connection_ != nullptr; }
    void discard() { connection_.reset(); }  // closes it instead of giving it back

   private:
    friend class PostgresPool;
    Lease(PostgresPool* pool, std::shared_ptr<const PostgresLogin> login)
        : pool_(pool), login_(std::move(login)) {}
    struct Release {
      void operator()(PostgresPool*) const {}
    };
    std::unique_ptr<PostgresPool, Release> pool_;  // null when moved from
    std::shared_ptr<const PostgresLogin> login_;
    std::unique_ptr<PostgresConnection> connection_;
    bool reused_ = false;
  };

  base::Result<Lease> acquire(const std::shared_ptr<const PostgresLogin>& login);
  // Closes the idle connections of this role and database (its tenant goes, or its password changed).
  void close_idle(const PostgresLogin& login);
  std::size_t open_count() const;
  // How often a connection was lost or could not be had. After a loss the server may hold less than was seen
  // before, when a standby took over, or more, when a commit's answer was lost.
  std::uint64_t losses() const { return losses_.load(); }
  const PostgresOptions& options() const { return options_; }

 private:
  struct Idle {
    std::shared_ptr<const PostgresLogin> login;
    std::unique_ptr<PostgresConnection> connection;
  };
  void give_back(std::shared_ptr<const PostgresLogin> login, std::unique_ptr<PostgresConnection> connection);

  const PostgresOptions options_;
  Mender mend_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::list<Idle> idle_;  // longest idle first
  std::size_t open_ = 0;  // lent and idle
  std::atomic<std::uint64_t> losses_{0};
};

// Where one tenant's rows lie and how its transactions begin.
struct PostgresPlace {
  std::string name;  // of role, schema, database; with row-level security, the tenant's
  std::shared_ptr<const PostgresLogin> login;
  base::Secret proof;  // row-level security only
};

// A transaction on a lent connection. Rolled back by the destructor unless committed; a connection on
// which the rollback fails is closed.
class PostgresTransaction {
 public:
  enum class Mode {
    Read,  // READ ONLY, one snapshot for all its statements
    Write,
  };
  // Takes another connection when an idle one turns out to be dead (the server was restarted). With a
  // proof, both settings that the row policies look at are set for this transaction alone.
  static base::Result<PostgresTransaction> begin(PostgresPool& pool, const PostgresPlace& place, Mode mode);
  PostgresTransaction(PostgresTransaction&& other) noexcept = default;
  PostgresTransaction& operator=(PostgresTransaction&&) = delete;
  ~PostgresTransaction();

  template <typename... Values>
  base::Result<PostgresRows> run(Sql sql, const Values&... values) {
    return lease_->run(sql, values...);
  }
  PostgresConnection& connection() { return *lease_; }
  base::Result<void> commit();

 private:
  explicit PostgresTransaction(PostgresPool::Lease lease) : lease_(std::move(lease)) {}
  PostgresPool::Lease lease_;
};

}  // namespace bulkhead::storage
