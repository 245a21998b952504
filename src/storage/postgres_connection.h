// One connection to PostgreSQL, and the only place that includes libpq's header.
//
// Statements are fixed at compile time (storage/sql.h) and prepared once a connection; values travel
// apart from them, in binary. No call waits for an answer for longer than the server has for a statement and
// the network for a packet, also when the server is stopped and its host acknowledges all the same. Names
// that must stand in a statement (of roles, schemas) go through `Ddl`, which quotes them. Server-side limits
// on the time of a statement, of a lock and of an idle transaction are set at login.
//
// Errors: StorageError. A message from the server may quote values of a row, so only its SQLSTATE and
// the names of constraint and table reach the detail.
// Thread safety: one thread at a time; PostgresPool lends it to one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/task.h"
#include "storage/postgres_options.h"
#include "storage/sql.h"
#include "storage/store.h"

struct pg_conn;
struct pg_result;

namespace bulkhead::storage {

// Who connects, and to what.
struct PostgresLogin {
  std::string user;
  base::Secret password;
  std::string dbname;
  std::string search_path;         // one schema; empty: none but pg_catalog
  std::string extension_schema{};  // searched after it; empty: none
};

// The rows of one statement.
class PostgresRows {
 public:
  explicit PostgresRows(pg_result* result) : result_(result) {}
  PostgresRows(PostgresRows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  PostgresRows& operator=(PostgresRows&& other) noexcept;
  ~PostgresRows();

  int size() const;
  bool empty() const { return size() == 0; }
  bool is_null(int row, int column) const;
  std::int64_t integer(int row, int column) const;  // of int2, int4, int8, bool
  std::uint64_t count(int row, int column) const { return static_cast<std::uint64_t>(integer(row, column)); }
  bool flag(int row, int column) const { return integer(row, column) != 0; }
  double real(int row, int column) const;  // of float8
  std::string text(int row, int column) const;
  base::ByteView blob(int row, int column) const;  // lives as long as the rows
  std::uint64_t affected() const;                  // rows that a statement changed

  bool succeeded() const;
  const pg_result* raw() const { return result_; }

 private:
  pg_result* result_;
};

// A value for $1, $2, ... as PostgreSQL's binary protocol wants it. Texts and blobs are not copied.
class PostgresValue {
 public:
  PostgresValue(std::int64_t number);  // NOLINT: implicit by design
  PostgresValue(std::uint64_t number) : PostgresValue(static_cast<std::int64_t>(number)) {}  // NOLINT
  PostgresValue(int number) : PostgresValue(static_cast<std::int64_t>(number)) {}            // NOLINT
  PostgresValue(std::uint32_t number) : PostgresValue(static_cast<std::int64_t>(number)) {}  // NOLINT
  PostgresValue(bool flag);                                                                  // NOLINT
  PostgresValue(std::string_view text);                                                      // NOLINT
  PostgresValue(const std::string& text) : PostgresValue(std::string_view(text)) {}          // NOLINT
  PostgresValue(const char*) = delete;  // would be taken for a bool
  PostgresValue(base::ByteView blob);   // NOLINT
  PostgresValue(const base::Bytes& blob) : PostgresValue(base::ByteView(blob)) {}  // NOLINT
  PostgresValue(const std::vector<std::int64_t>& array);                           // NOLINT
  PostgresValue(const std::vector<std::string>& array);                            // NOLINT
  PostgresValue(const std::vector<base::Bytes>& array);                            // NOLINT

  unsigned type() const { return type_; }
  const char* data() const { return owned_.empty() ? data_ : reinterpret_cast<const char*>(owned_.data()); }
  int size() const { return owned_.empty() ? size_ : static_cast<int>(owned_.size()); }

 private:
  unsigned type_;
  const char* data_ = "";
  int size_ = 0;
  base::Bytes owned_;
};

// A statement with names in it, for making and removing schemas, databases and roles.
class Ddl {
 public:
  Ddl& sql(Sql text) { return add(text.text()); }
  // `script` with each "@C@" replaced by `column` and each "@K@" by `key`.
  Ddl& filled(Sql script, Sql column, Sql key);
  Ddl& name(std::string_view identifier);  // quoted
  Ddl& literal(std::string_view text);     // quoted
  Ddl& number(std::uint64_t number);
  Ddl& bytes(base::ByteView bytes);  // a literal of type bytea
  Ddl& add(const Ddl& part) { return add(part.text_); }
  const std::string& text() const { return text_; }

 private:
  Ddl& add(std::string_view text) {
    text_ += text;
    return *this;
  }
  std::string text_;
};

class PostgresConnection {
 public:
  static base::Result<std::unique_ptr<PostgresConnection>> open(const PostgresOptions& options,
                                                                const PostgresLogin& login);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;

  template <typename... Values>
  base::Result<PostgresRows> run(Sql sql, const Values&... values) {
    const PostgresValue list[] = {PostgresValue(values)..., PostgresValue(std::int64_t{0})};
    return run_values(sql, list, sizeof...(values));
  }
  // One or more statements without values.
  base::Result<void> execute(Sql script) { return execute_text(script.text()); }
  base::Result<void> execute(const Ddl& statement) { return execute_text(statement.text().c_str()); }
  // One statement that needs names or numbers in its text; planned for these values alone.
  template <typename... Values>
  base::Result<PostgresRows> run_once(const Ddl& statement, const Values&... values) {
    const PostgresValue list[] = {PostgresValue(values)..., PostgresValue(std::int64_t{0})};
    return run_unprepared(statement.text().c_str(), list, sizeof...(values));
  }
  // An aborted transaction answers COMMIT with a rollback and no error: that is an error here.
  base::Result<void> commit();
  // The SCRAM-SHA-256 verifier of a password: what the server keeps, so that no password stands in a
  // statement or in the server's log.
  base::Result<std::string> password_verifier(std::string_view user, const base::Secret& password);

  // From now on a statement under way ends with Cancelled when `token` is cancelled, and the connection is of
  // no more use; null: none does. Only for what reads. The token outlives its use.
  void interrupt_when(const base::CancelToken* token) { interrupting_ = token; }
  // It was given up in the middle of a read, because nobody waited for it any more: nothing can be missing or
  // too much at the server.
  bool given_up() const { return given_up_; }
  // The server did not answer in time.
  bool silent() const { return silent_; }
  // Whether it can be lent again: connected, and outside every transaction.
  bool idle() const;
  bool broken() const;
  int server_version() const;  // 180004 for 18.4
  int backend_pid() const;

 private:
  PostgresConnection(pg_conn* handle, std::chrono::milliseconds answer_time_max)
      : handle_(handle), answer_time_max_(answer_time_max) {}
  base::Result<PostgresRows> answer(int sent);
  base::Result<void> wait(bool to_write, std::chrono::steady_clock::time_point deadline);
  base::Result<PostgresRows> run_values(Sql sql, const PostgresValue* values, std::size_t count);
  base::Result<PostgresRows> run_unprepared(const char* statement, const PostgresValue* values,
                                            std::size_t count);
  base::Result<void> execute_text(const char* script);
  base::Error error(const pg_result* result) const;

  pg_conn* handle_;
  const std::chrono::milliseconds answer_time_max_;
  const base::CancelToken* interrupting_ = nullptr;
  bool given_up_ = false;
  bool silent_ = false;  // an answer is still to come that nobody will wait for
  std::unordered_map<const char*, std::string> prepared_;
};

// What to tell an operator about a database that is not as it should be.
base::Error misconfigured(std::string detail);

}  // namespace bulkhead::storage
