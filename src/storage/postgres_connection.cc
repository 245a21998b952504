#include "storage/postgres_connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace bulkhead::storage {
namespace {

// Of the server's catalogue (pg_type): fixed for all versions.
constexpr unsigned kBool = 16, kBytea = 17, kInt8 = 20, kText = 25, kByteaArray = 1001, kTextArray = 1009,
                   kInt8Array = 1016;

// How often a wait looks whether somebody still wants its answer.
constexpr std::chrono::milliseconds kLookInterval{50};
// How often the server looks whether a statement's client is still there: it ends those that were given up.
constexpr std::chrono::seconds kClientCheckInterval{1};

void append_big_endian(base::Bytes& out, std::uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(number >> (8 * i)));
}

// dimensions, has-nulls flag, element type, length, lower bound; then each element after its length.
base::Bytes array_head(unsigned element, std::size_t length) {
  base::Bytes out;
  append_big_endian(out, length == 0 ? 0 : 1, 4);
  append_big_endian(out, 0, 4);
  append_big_endian(out, element, 4);
  if (length == 0) return out;
  append_big_endian(out, length, 4);
  append_big_endian(out, 1, 4);
  return out;
}

void append_element(base::Bytes& out, base::ByteView element) {
  append_big_endian(out, element.size(), 4);
  out.insert(out.end(), element.begin(), element.end());
}

StorageError classify(std::string_view state) {
  const std::string_view group = state.substr(0, 2);
  if (state == "23505") return StorageError::AlreadyExists;
  if (state == "23503") return StorageError::NotFound;
  if (state == "53100") return StorageError::Full;
  if (state == "55P03" || state == "57014" || state == "40001" || state == "40P01" || state == "53300" ||
      state == "53200" || state == "55006") {
    return StorageError::Busy;
  }
  if (state == "54000" || state == "22001") return StorageError::TooLarge;
  if (group == "XX" || group == "22" || group == "23") return StorageError::Corrupt;
  if (group == "42" || group == "28" || group == "3D" || group == "3F") return StorageError::Misconfigured;
  if (group == "08" || group == "57" || group == "25") return StorageError::Unavailable;
  return StorageError::Io;
}

std::string public_message(StorageError code) {
  if (code == StorageError::AlreadyExists) return "An object with this id exists already.";
  if (code == StorageError::NotFound) return "No such object.";
  if (code == StorageError::Full) {
    return "The server's storage is full; nothing was changed. Ask your operator to free space, then retry.";
  }
  if (code == StorageError::Busy) return "The store is busy. Retry in a moment.";
  if (code == StorageError::TooLarge) return "The record is too large to store. Make it smaller.";
  if (code == StorageError::Corrupt) {
    return "The store is damaged and was not used. Ask your operator to restore it from a backup.";
  }
  if (code == StorageError::Misconfigured)
    return "The store is not set up as it must be. Tell your operator.";
  if (code == StorageError::Unavailable) return "The store can't be reached just now. Retry in a moment.";
  return "The server could not read or write its storage. Retry; if it goes on, tell your operator.";
}

// Notices may quote what a statement held; nobody reads them.
void drop_notice(void*, const PGresult*) {}

std::string milliseconds(std::chrono::seconds time) {
  return std::to_string(std::chrono::milliseconds(time).count());
}

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

}  // namespace

base::Error misconfigured(std::string detail) {
  return base::Error(StorageError::Misconfigured, public_message(StorageError::Misconfigured),
                     std::move(detail));
}

PostgresRows& PostgresRows::operator=(PostgresRows&& other) noexcept {
  std::swap(result_, other.result_);  // the other one clears it
  return *this;
}
PostgresRows::~PostgresRows() { PQclear(result_); }
int PostgresRows::size() const { return PQntuples(result_); }
bool PostgresRows::is_null(int row, int column) const { return PQgetisnull(result_, row, column) != 0; }

std::int64_t PostgresRows::integer(int row, int column) const {
  const base::ByteView bytes = blob(row, column);
  // The sign of the shorter types is that of their first byte.
  std::int64_t number = !bytes.empty() && bytes.size() > 1 && (bytes[0] & 0x80) ? -1 : 0;
  for (std::uint8_t byte : bytes) {
    number = static_cast<std::int64_t>((static_cast<std::uint64_t>(number) << 8) | byte);
  }
  return number;
}

double PostgresRows::real(int row, int column) const { return std::bit_cast<double>(integer(row, column)); }

std::string PostgresRows::text(int row, int column) const {
  return std::string(base::as_text(blob(row, column)));
}

base::ByteView PostgresRows::blob(int row, int column) const {
  return {reinterpret_cast<const std::uint8_t*>(PQgetvalue(result_, row, column)),
          static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::uint64_t PostgresRows::affected() const { return std::strtoull(PQcmdTuples(result_), nullptr, 10); }

bool PostgresRows::succeeded() const {
  const ExecStatusType status = PQresultStatus(result_);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
}

PostgresValue::PostgresValue(std::int64_t number) : type_(kInt8) {
  append_big_endian(owned_, static_cast<std::uint64_t>(number), 8);
}
PostgresValue::PostgresValue(bool flag) : type_(kBool), owned_{static_cast<std::uint8_t>(flag)} {}
PostgresValue::PostgresValue(std::string_view text)
    : type_(kText), data_(text.empty() ? "" : text.data()), size_(static_cast<int>(text.size())) {}
PostgresValue::PostgresValue(base::ByteView blob)
    : type_(kBytea),
      data_(blob.empty() ? "" : reinterpret_cast<const char*>(blob.data())),
      size_(static_cast<int>(blob.size())) {}
PostgresValue::PostgresValue(const std::vector<std::int64_t>& array)
    : type_(kInt8Array), owned_(array_head(kInt8, array.size())) {
  for (std::int64_t number : array) {
    append_big_endian(owned_, 8, 4);
    append_big_endian(owned_, static_cast<std::uint64_t>(number), 8);
  }
}
PostgresValue::PostgresValue(const std::vector<std::string>& array)
    : type_(kTextArray), owned_(array_head(kText, array.size())) {
  for (const std::string& text : array) append_element(owned_, base::as_bytes(text));
}
PostgresValue::PostgresValue(const std::vector<base::Bytes>& array)
    : type_(kByteaArray), owned_(array_head(kBytea, array.size())) {
  for (const base::Bytes& blob : array) append_element(owned_, blob);
}

Ddl& Ddl::name(std::string_view identifier) { return add(quoted(identifier, '"')); }
// With standard_conforming_strings (set at login) a quote is the only special character.
Ddl& Ddl::literal(std::string_view text) { return add(quoted(text, '\'')); }

Ddl& Ddl::number(std::uint64_t number) { return add(std::to_string(number)); }
Ddl& Ddl::bytes(base::ByteView bytes) { return add("'\\x" + base::hex_encode(bytes) + "'::bytea"); }

Ddl& Ddl::filled(Sql script, Sql column, Sql key) {
  std::string_view rest = script.text();
  for (std::size_t at = 0; (at = rest.find('@')) != std::string_view::npos;) {
    const std::string_view mark = rest.substr(at, 3);
    add(rest.substr(0, at));
    add(mark == "@C@" ? column.text() : mark == "@K@" ? key.text() : mark);
    rest.remove_prefix(at + mark.size());
  }
  return add(rest);
}

base::Result<std::unique_ptr<PostgresConnection>> PostgresConnection::open(const PostgresOptions& options,
                                                                           const PostgresLogin& login) {
  const std::string port = std::to_string(options.port);
  const std::string connect_time = std::to_string(options.connect_time_max.count());
  const std::string network_time = milliseconds(options.statement_time_max + options.connect_time_max);
  // pg_temp last: a temporary table must never stand in for a real one.
  const std::string settings =
      "-c search_path=" + (login.search_path.empty() ? "pg_catalog" : login.search_path) +
      (login.extension_schema.empty() ? "" : "," + login.extension_schema) + ",pg_temp" +
      " -c statement_timeout=" + milliseconds(options.statement_time_max) +
      " -c lock_timeout=" + milliseconds(options.lock_time_max) +
      " -c idle_in_transaction_session_timeout=" + milliseconds(options.statement_time_max) +
      " -c client_connection_check_interval=" + milliseconds(kClientCheckInterval) +
      " -c standard_conforming_strings=on -c row_security=on -c jit=off";
  std::string password(login.password.reveal_text());
  const std::string ca = options.ca_file.empty() ? "" : options.ca_file.string();
  // What is left out here would be taken from the environment or from files in the home folder.
  const char* const keys[] = {"host",
                              "port",
                              "dbname",
                              "user",
                              "password",
                              "passfile",
                              "sslmode",
                              "sslrootcert",
                              "gssencmode",
                              "options",
                              "client_encoding",
                              "application_name",
                              "connect_timeout",
                              "tcp_user_timeout",
                              "target_session_attrs",
                              nullptr};
  const char* const values[] = {options.host.c_str(),
                                port.c_str(),
                                login.dbname.c_str(),
                                login.user.c_str(),
                                password.c_str(),
                                "/dev/null",
                                options.sslmode.c_str(),
                                ca.c_str(),
                                "disable",
                                settings.c_str(),
                                "UTF8",
                                "bulkhead",
                                connect_time.c_str(),
                                network_time.c_str(),
                                "read-write",
                                nullptr};
  PGconn* handle = PQconnectdbParams(keys, values, 0);
  base::wipe(password);
  std::unique_ptr<PostgresConnection> connection(
      new PostgresConnection(handle, options.statement_time_max + options.connect_time_max));
  if (handle && PQstatus(handle) == CONNECTION_OK && PQsetnonblocking(handle, 1) == 0) {
    PQsetNoticeReceiver(handle, drop_notice, nullptr);
    return connection;
  }
  // The server tells of a failed login in words only. That it had asked for the password means that it
  // was there and answered, unless it is a standby that has yet to take over.
  const bool answered = handle && PQconnectionUsedPassword(handle) &&
                        std::strstr(PQerrorMessage(handle), "read-only") == nullptr;
  std::string detail = "store \"" + options.name + "\": role " + login.user + ", database " + login.dbname +
                       " at " + options.host + ":" + port + ": " +
                       (handle ? PQerrorMessage(handle) : "out of memory");
  while (!detail.empty() && detail.back() == '\n') detail.pop_back();
  if (answered) {
    return misconfigured(detail +
                         ". Check this role's password, its right to connect and its connection limit");
  }
  return base::Error(StorageError::Unavailable, public_message(StorageError::Unavailable),
                     detail + ". Check host, port and sslmode, and that the server runs");
}

PostgresConnection::~PostgresConnection() { PQfinish(handle_); }

base::Error PostgresConnection::error(const pg_result* result) const {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  if (!state) {
    return base::Error(StorageError::Unavailable, public_message(StorageError::Unavailable),
                       "the connection to PostgreSQL was lost");
  }
  const StorageError code = classify(state);
  std::string detail = "PostgreSQL: SQLSTATE " + std::string(state);
  const auto add = [&](int field, const char* label) {
    if (const char* text = PQresultErrorField(result, field)) detail += std::string(label) + text;
  };
  add(PG_DIAG_TABLE_NAME, ", table ");
  add(PG_DIAG_CONSTRAINT_NAME, ", constraint ");
  // What a statement names is ours (tables, roles); these messages quote no row.
  if (code == StorageError::Misconfigured || code == StorageError::Unavailable) {
    add(PG_DIAG_MESSAGE_PRIMARY, ", ");
  }
  return base::Error(code, public_message(code), std::move(detail));
}

namespace {

// As libpq takes them.
struct Parameters {
  Parameters(const PostgresValue* values, std::size_t count)
      : types(count), data(count), sizes(count), formats(count, 1) {
    for (std::size_t i = 0; i < count; ++i) {
      types[i] = values[i].type();
      data[i] = values[i].data();
      sizes[i] = values[i].size();
    }
  }
  std::vector<Oid> types;
  std::vector<const char*> data;
  std::vector<int> sizes, formats;
};

}  // namespace

base::Result<PostgresRows> PostgresConnection::run_unprepared(const char* statement,
                                                              const PostgresValue* values,
                                                              std::size_t count) {
  const Parameters with(values, count);
  return answer(PQsendQueryParams(handle_, statement, static_cast<int>(count), with.types.data(),
                                  with.data.data(), with.sizes.data(), with.formats.data(), 1));
}

base::Result<PostgresRows> PostgresConnection::run_values(Sql sql, const PostgresValue* values,
                                                          std::size_t count) {
  const Parameters with(values, count);
  std::string& name = prepared_[sql.text()];
  if (name.empty()) {
    std::string fresh = "s" + std::to_string(prepared_.size());
    auto made =
        answer(PQsendPrepare(handle_, fresh.c_str(), sql.text(), static_cast<int>(count), with.types.data()));
    if (!made) {
      prepared_.erase(sql.text());
      return made;
    }
    name = std::move(fresh);
  }
  return answer(PQsendQueryPrepared(handle_, name.c_str(), static_cast<int>(count), with.data.data(),
                                    with.sizes.data(), with.formats.data(), 1));
}

base::Result<void> PostgresConnection::execute_text(const char* script) {
  BULKHEAD_TRY(rows, answer(PQsendQuery(handle_, script)));
  return {};
}

// Waits for what was sent. The last statement's rows, or the error that ended them, as PQexec gives it.
base::Result<PostgresRows> PostgresConnection::answer(int sent) {
  if (sent == 0 || silent_) return error(nullptr);
  const auto deadline = std::chrono::steady_clock::now() + answer_time_max_;
  PostgresRows last(nullptr);
  while (true) {
    const int unsent = PQflush(handle_);
    if (unsent < 0) break;
    if (unsent == 0 && PQisBusy(handle_) == 0) {
      PGresult* next = PQgetResult(handle_);
      if (!next) break;
      last = PostgresRows(next);
      continue;
    }
    BULKHEAD_CHECK_OK(wait(unsent > 0, deadline));
    if (PQconsumeInput(handle_) == 0) break;
  }
  if (!last.succeeded() || broken()) return error(last.succeeded() ? nullptr : last.raw());
  return last;
}

// Until the socket can be read (or, with `to_write`, written), a while at the most.
base::Result<void> PostgresConnection::wait(bool to_write, std::chrono::steady_clock::time_point deadline) {
  if (interrupting_ && interrupting_->cancelled()) {
    silent_ = given_up_ = true;
    return base::Error(StorageError::Cancelled, "The request was cancelled.", interrupting_->reason());
  }
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  if (left.count() <= 0) {
    silent_ = true;
    return base::Error(
        StorageError::Unavailable, public_message(StorageError::Unavailable),
        "PostgreSQL did not answer within " + std::to_string(answer_time_max_.count()) + " ms");
  }
  const short events = static_cast<short>(to_write ? POLLIN | POLLOUT : POLLIN);
  pollfd socket{.fd = PQsocket(handle_), .events = events, .revents = 0};
  ::poll(&socket, 1, static_cast<int>(std::min(left, kLookInterval).count()));
  return {};
}

base::Result<void> PostgresConnection::commit() {
  BULKHEAD_TRY(rows, answer(PQsendQuery(handle_, "COMMIT")));
  if (std::strcmp(PQcmdStatus(const_cast<PGresult*>(rows.raw())), "COMMIT") == 0) return {};
  return base::Error(StorageError::Io, public_message(StorageError::Io),
                     "PostgreSQL rolled a transaction back that was to be committed");
}

base::Result<std::string> PostgresConnection::password_verifier(std::string_view user,
                                                                const base::Secret& password) {
  std::string plain(password.reveal_text());
  char* verifier = PQencryptPasswordConn(handle_, plain.c_str(), std::string(user).c_str(), "scram-sha-256");
  base::wipe(plain);
  if (!verifier) return misconfigured("the SCRAM verifier of a role could not be made");
  std::string out(verifier);
  PQfreemem(verifier);
  return out;
}

bool PostgresConnection::idle() const {
  return !silent_ && PQstatus(handle_) == CONNECTION_OK && PQtransactionStatus(handle_) == PQTRANS_IDLE;
}
bool PostgresConnection::broken() const { return silent_ || PQstatus(handle_) != CONNECTION_OK; }
int PostgresConnection::server_version() const { return PQserverVersion(handle_); }
int PostgresConnection::backend_pid() const { return PQbackendPID(handle_); }

}  // namespace bulkhead::storage
