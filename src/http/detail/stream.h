// A connected socket, plain or TLS, as the base of server and client connections.
//
// Reading: the socket's events are watched all the time, also while a handler runs, so that the
// peer's going away is seen at once; what arrives is kept up to a bound for whoever asks next. That
// costs one system call per arrival, none to arm it.
// Writing: the coroutine waits for the end of the loop's turn, when all writes are made together
// (flusher.h), with one system call each; longer only when the socket is full.
//
// On the reactor's thread only. The coroutine that uses a stream, or the pool that keeps it, owns it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <coroutine>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/detail/buffer.h"
#include "http/detail/pace.h"
#include "http/detail/reactor_impl.h"
#include "http/detail/sweeper.h"
#include "http/detail/tls_session.h"
#include "http/message.h"

namespace bulkhead::http::detail {

class Stream : public Swept, public Polled, public std::enable_shared_from_this<Stream> {
 public:
  // Owns the connected socket `fd` from here on.
  Stream(Reactor& reactor, int fd, std::unique_ptr<TlsSession> tls);
  virtual ~Stream();

  Reactor& reactor() { return reactor_; }
  bool secure() const { return tls_ != nullptr; }

  // Ends everything: pending reads and writes fail with `why`. With `reset`, the peer gets a RST,
  // so that it can't take what it has for a whole answer.
  void cut(HttpError why, bool reset = false);
  bool is_open() const { return fd_ >= 0; }
  // TLS close_notify and FIN; the peer may still be read from.
  void shutdown_send();

  std::string_view input() const { return in_.view(); }
  void consume(std::size_t bytes) { in_.consume(bytes); }
  // Between messages: gives the memory of a large one back.
  void trim();
  bool ended() const { return ended_; }
  // The peer will send no more, though there may be input left to read.
  bool hung_up() const { return hung_up_ || ended_; }
  // The peer ended in the orderly way (FIN, with TLS a close_notify before it).
  bool ended_cleanly() const { return ended_ && !failure_; }
  HttpError failure() const { return failure_.value_or(HttpError::ConnectionClosed); }
  std::string tls_failure() const { return tls_ ? tls_->failure() : std::string(); }

  // co_await more_input(): true when input() is not empty, false at the end, on failure or at the
  // deadline (then `timed_out()`).
  struct InputAwaiter {
    Stream& stream;
    bool await_ready() {
      if (stream.in_.empty()) stream.pull();
      return !stream.in_.empty() || stream.ended_;
    }
    void await_suspend(std::coroutine_handle<> handle) { stream.reader_ = handle; }
    bool await_resume() const { return !stream.in_.empty(); }
  };
  InputAwaiter more_input() { return InputAwaiter{*this}; }

  // co_await fresh_input(): as more_input(), for a caller that leaves an incomplete head where it
  // is: waits until there is more than now.
  struct FreshInputAwaiter {
    Stream& stream;
    std::size_t seen;
    bool await_ready() {
      stream.pull();
      return stream.in_.size() > seen || stream.ended_;
    }
    void await_suspend(std::coroutine_handle<> handle) { stream.reader_ = handle; }
    bool await_resume() const { return stream.in_.size() > seen; }
  };
  FreshInputAwaiter fresh_input() { return FreshInputAwaiter{*this, in_.size()}; }
  bool timed_out() const { return timed_out_; }
  void clear_timed_out() { timed_out_ = false; }

  // True when the peer has filled the buffer and nothing more is read until some is consumed.
  bool input_full() const;

  // co_await write(...): false when the connection failed. The bytes must stay until then.
  struct WriteAwaiter {
    Stream& stream;
    std::array<std::string_view, 3> parts;
    std::coroutine_handle<> handle;
    bool failed = false;
    SteadyTime deadline_before{};  // what the reader has left to arrive in: writing buys no time
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> awaiting);
    bool await_resume() const { return !failed; }
  };
  WriteAwaiter write(std::string_view first, std::string_view second = {}, std::string_view third = {}) {
    return WriteAwaiter{*this, {first, second, third}, nullptr};
  }
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  void set_write_pace(Pace pace) { write_pace_ = pace; }
  // What was written before buys what comes no time.
  void restart_write_pace() { write_pace_.restart(); }

  // co_await secure_handshake(): plain streams are done at once.
  struct HandshakeAwaiter {
    Stream& stream;
    bool await_ready() {
      return !stream.tls_ || stream.ended_ || stream.advance_handshake() || stream.cipher_over_;
    }
    void await_suspend(std::coroutine_handle<> handle) { stream.reader_ = handle; }
    bool await_resume() const { return !stream.tls_ || stream.handshake_over_; }
  };
  HandshakeAwaiter secure_handshake() { return HandshakeAwaiter{*this}; }

  // What is waiting to be written goes out, as much as the socket takes.
  void flush_write();
  void on_deadline() override;
  void on_events(std::uint32_t events) override;

 protected:
  // Bytes or the end arrived while nobody waited for them.
  virtual void on_input() = 0;

 private:
  // Takes from the socket what is there, as long as there is room.
  void pull();
  void receive(Buffer& target);
  bool advance_handshake();  // true when over, well or badly
  void decrypt_input();
  bool advance_write(WriteAwaiter& write);  // true when over, well or badly
  bool advance_plain(WriteAwaiter& write);
  bool advance_secure(WriteAwaiter& write);
  // Bytes sent; 0 when the socket is full; negative on failure.
  std::ptrdiff_t send_now(const iovec* parts, std::size_t count);
  bool flush_cipher();  // false: socket full or failed
  void count_write(std::uint64_t sent, bool over);
  void resume_writer();
  void end(std::optional<HttpError> why);
  void resume_reader();

  Reactor& reactor_;
  std::shared_ptr<PollSet> poll_set_;
  int fd_;
  std::unique_ptr<TlsSession> tls_;
  Buffer in_;         // plaintext
  Buffer cipher_in_;  // TLS only
  std::string cipher_out_;
  std::size_t cipher_sent_ = 0;
  std::coroutine_handle<> reader_;
  WriteAwaiter* writer_ = nullptr;
  Pace write_pace_;
  std::optional<SteadyTime> write_blocked_;  // since when the peer has not taken what there is
  std::optional<HttpError> failure_;
  std::uint64_t bytes_sent_ = 0;
  bool readable_ = false;  // the last event's bytes are not all taken yet
  bool hung_up_ = false;
  bool cipher_over_ = false;  // TLS: the socket has ended, what it brought may not be decrypted yet
  bool read_filled_ = false;  // the last read took all its room: more is coming
  bool plain_left_ = false;   // decryption stopped at the bound
  bool handshake_over_ = false;
  bool ended_ = false;
  bool timed_out_ = false;
};

}  // namespace bulkhead::http::detail
