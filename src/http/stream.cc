#include "http/detail/stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bulkhead::http::detail {

namespace {
constexpr std::size_t kReadBytesSmall = 4 << 10;
constexpr std::size_t kReadBytesLarge = 64 << 10;
// What a peer may send ahead of our reading it; beyond that we stop reading.
constexpr std::size_t kInputBytesMax = 64 << 10;
constexpr std::size_t kCipherPieceBytes = 64 << 10;
}  // namespace

Stream::Stream(Reactor& reactor, Socket socket, std::unique_ptr<TlsSession> tls)
    : reactor_(reactor), socket_(std::move(socket)), tls_(std::move(tls)) {
  reactor_.impl().sweeper.add(*this);
}

Stream::~Stream() = default;

void Stream::cut(HttpError why, bool reset) {
  if (!failure_) failure_ = why;
  ended_ = true;
  if (!socket_.is_open()) return;
  error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  // Pending operations complete with an error from the event loop, never inside this call.
  socket_.close(ignored);
}

void Stream::shutdown_send() {
  if (!socket_.is_open()) return;
  if (tls_ && handshake_over_) {
    tls_->close_notify(cipher_out_);
    flush_cipher();
  }
  error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Stream::arm_read() {
  if (read_armed_ || ended_ || in_.size() >= kInputBytesMax) return;
  Buffer& target = tls_ ? cipher_in_ : in_;
  const std::span<char> room = target.prepare(read_filled_ ? kReadBytesLarge : kReadBytesSmall);
  read_armed_ = true;
  socket_.async_read_some(
      asio::mutable_buffer(room.data(), std::min(room.size(), kReadBytesLarge)),
      [self = shared_from_this()](error_code error, std::size_t bytes) {
        self->on_read(error, bytes);
      });
}

bool Stream::input_full() const { return in_.size() >= kInputBytesMax; }

void Stream::trim() {
  read_filled_ = false;
  if (read_armed_) return;
  Buffer& target = tls_ ? cipher_in_ : in_;
  if (target.capacity() > kReadBytesSmall * 4) target.release_if_empty();
}

void Stream::on_read(error_code error, std::size_t bytes) {
  read_armed_ = false;
  Buffer& target = tls_ ? cipher_in_ : in_;
  target.commit(bytes);
  read_filled_ = target.size() >= kReadBytesSmall;
  if (error) {
    // End of a TLS stream without close_notify may be an attacker's cut.
    end(error == asio::error::eof && !tls_ ? std::nullopt
                                           : std::optional(HttpError::ConnectionClosed));
  } else if (tls_) {
    if (!handshake_over_) {
      if (!advance_handshake()) {
        arm_read();
        return;
      }
    } else {
      decrypt_input();
      if (in_.empty() && !ended_) {
        arm_read();
        return;
      }
    }
  }
  if (reader_) {
    resume_reader();
  } else {
    on_input();
  }
}

void Stream::end(std::optional<HttpError> why) {
  ended_ = true;
  if (!failure_) failure_ = why;
}

void Stream::resume_reader() { std::exchange(reader_, nullptr).resume(); }

bool Stream::advance_handshake() {
  const TlsSession::Step step = tls_->handshake(cipher_in_, cipher_out_);
  // A handshake's flights fit a socket's buffer; one that doesn't take them is not worth waiting for.
  if (!flush_cipher() && step != TlsSession::Step::Failed) {
    cut(HttpError::TlsFailed);
    return true;
  }
  if (step == TlsSession::Step::WantInput) return false;
  if (step == TlsSession::Step::Done) {
    handshake_over_ = true;
    decrypt_input();
  } else {
    end(HttpError::TlsFailed);
  }
  return true;
}

void Stream::decrypt_input() {
  const TlsSession::Step step = tls_->decrypt(cipher_in_, in_, kInputBytesMax, cipher_out_);
  plain_left_ = step == TlsSession::Step::Done;
  if (!writer_) flush_cipher();
  if (step == TlsSession::Step::Closed) end(std::nullopt);
  if (step == TlsSession::Step::Failed) end(HttpError::TlsFailed);
}

void Stream::WriteAwaiter::await_suspend(std::coroutine_handle<> awaiting) {
  handle = awaiting;
  stream.writer_ = this;
  stream.set_deadline_in(stream.write_stall_max_);
  stream.wait_writable();
}

bool Stream::advance_write(WriteAwaiter& write) {
  if (!socket_.is_open() || (failure_ && ended_)) {
    write.failed = true;
    return true;
  }
  return tls_ ? advance_secure(write) : advance_plain(write);
}

bool Stream::advance_plain(WriteAwaiter& write) {
  for (;;) {
    std::array<iovec, 3> parts;
    std::size_t count = 0;
    for (std::string_view part : write.parts) {
      if (!part.empty()) parts[count++] = {const_cast<char*>(part.data()), part.size()};
    }
    if (count == 0) return true;
    std::ptrdiff_t sent = send_now(parts.data(), count);
    if (sent == 0) return false;
    if (sent < 0) {
      write.failed = true;
      return true;
    }
    for (std::string_view& part : write.parts) {
      const std::size_t from_this = std::min(part.size(), static_cast<std::size_t>(sent));
      part.remove_prefix(from_this);
      sent -= static_cast<std::ptrdiff_t>(from_this);
    }
  }
}

bool Stream::advance_secure(WriteAwaiter& write) {
  for (;;) {
    if (cipher_out_.size() == cipher_sent_) {
      bool more = false;
      for (std::string_view& part : write.parts) {
        if (part.empty()) continue;
        const std::string_view piece = part.substr(0, kCipherPieceBytes);
        if (!tls_->encrypt(piece, cipher_out_)) {
          write.failed = true;
          return true;
        }
        part.remove_prefix(piece.size());
        more = true;
        if (cipher_out_.size() >= kCipherPieceBytes) break;
      }
      if (!more) return true;
    }
    if (!flush_cipher()) {
      write.failed = !socket_.is_open() || failure_.has_value();
      return write.failed;
    }
  }
}

bool Stream::flush_cipher() {
  while (cipher_sent_ < cipher_out_.size()) {
    const iovec part{cipher_out_.data() + cipher_sent_, cipher_out_.size() - cipher_sent_};
    const std::ptrdiff_t sent = send_now(&part, 1);
    if (sent <= 0) return false;
    cipher_sent_ += static_cast<std::size_t>(sent);
  }
  cipher_out_.clear();
  cipher_sent_ = 0;
  return true;
}

std::ptrdiff_t Stream::send_now(const iovec* parts, std::size_t count) {
  for (;;) {
    ssize_t sent = 0;
    if (count == 1) {
      sent = ::send(socket_.native_handle(), parts->iov_base, parts->iov_len,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(parts);
      message.msg_iovlen = count;
      sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    if (sent >= 0) {
      bytes_sent_ += static_cast<std::uint64_t>(sent);
      return sent;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (!failure_) failure_ = HttpError::ConnectionClosed;
    return -1;
  }
}

void Stream::wait_writable() {
  if (write_waiting_) return;
  write_waiting_ = true;
  socket_.async_wait(asio::socket_base::wait_write, [self = shared_from_this()](error_code error) {
    self->write_waiting_ = false;
    WriteAwaiter* write = self->writer_;
    if (!write) return;
    if (error) {
      write->failed = true;
    } else if (!self->advance_write(*write)) {
      self->set_deadline_in(self->write_stall_max_);
      self->wait_writable();
      return;
    }
    self->writer_ = nullptr;
    self->clear_deadline();
    write->handle.resume();
  });
}

void Stream::on_deadline() {
  const auto self = shared_from_this();
  timed_out_ = true;
  if (writer_) {
    cut(HttpError::Timeout, true);
  } else if (reader_) {
    resume_reader();
  }
}

}  // namespace bulkhead::http::detail
