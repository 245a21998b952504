#include "http/detail/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

namespace bulkhead::http::detail {

namespace {
constexpr std::size_t kReadBytesSmall = 4 << 10;
constexpr std::size_t kReadBytesLarge = 64 << 10;
// What a peer may send ahead of our reading it; beyond that we stop reading.
constexpr std::size_t kInputBytesMax = 64 << 10;
constexpr std::size_t kCipherPieceBytes = 64 << 10;
}  // namespace

Stream::Stream(Reactor& reactor, int fd, std::unique_ptr<TlsSession> tls)
    : reactor_(reactor), poll_set_(reactor.impl().poller.set()), fd_(fd), tls_(std::move(tls)) {
  reactor_.impl().sweeper.add(*this);
  if (!poll_set_->add(fd_, *this)) cut(HttpError::ConnectionClosed);
}

Stream::~Stream() {
  if (fd_ < 0) return;
  poll_set_->remove(fd_, *this);
  ::close(fd_);
}

void Stream::cut(HttpError why, bool reset) {
  if (!failure_) failure_ = why;
  ended_ = true;
  if (fd_ < 0) return;
  if (reset) {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }
  poll_set_->remove(fd_, *this);
  ::close(std::exchange(fd_, -1));
  if (!reader_ && !writer_) return;
  // Who waits is resumed from the event loop, never inside this call.
  asio::post(reactor_.impl().io, [self = shared_from_this()] {
    if (self->writer_) self->resume_writer();
    if (self->reader_) self->resume_reader();
  });
}

void Stream::shutdown_send() {
  if (fd_ < 0) return;
  if (tls_ && handshake_over_) {
    tls_->close_notify(cipher_out_);
    flush_cipher();
  }
  ::shutdown(fd_, SHUT_WR);
}

void Stream::receive(Buffer& target) {
  while (readable_ && !ended_ && !cipher_over_ && target.size() < kInputBytesMax) {
    const std::span<char> room = target.prepare(read_filled_ ? kReadBytesLarge : kReadBytesSmall);
    const ssize_t got = ::recv(fd_, room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) {
      const auto bytes = static_cast<std::size_t>(got);
      target.commit(bytes);
      read_filled_ = bytes == room.size();
      // After a short read the next byte makes a new event; but the end may have come with this one.
      if (!read_filled_ && !hung_up_) readable_ = false;
    } else if (got == 0) {
      if (tls_) {
        cipher_over_ = true;
      } else {
        end(std::nullopt);
      }
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      readable_ = false;
    } else if (errno != EINTR) {
      end(HttpError::ConnectionClosed);
    }
  }
}

void Stream::pull() {
  if (!tls_) {
    if (readable_) receive(in_);
    return;
  }
  if (!handshake_over_) return;
  if (plain_left_) decrypt_input();
  if (readable_ && !plain_left_ && !ended_) {
    receive(cipher_in_);
    decrypt_input();
  }
  // The end of a TLS stream without close_notify may be an attacker's cut.
  if (cipher_over_ && !plain_left_ && !ended_) end(HttpError::ConnectionClosed);
}

void Stream::on_events(std::uint32_t events) {
  const auto self = shared_from_this();
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    readable_ = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
    const std::size_t before = in_.size();
    if (tls_ && !handshake_over_) {
      receive(cipher_in_);
      if (reader_ && (ended_ || advance_handshake() || cipher_over_)) resume_reader();
    } else {
      pull();
      if (in_.size() != before || hung_up()) {
        if (reader_) {
          if (in_.size() != before || ended_) resume_reader();
        } else {
          on_input();
        }
      }
    }
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) flush_write();
}

void Stream::flush_write() {
  if (!writer_) return;
  const std::uint64_t sent_before = bytes_sent_;
  const bool over = advance_write(*writer_);
  count_write(bytes_sent_ - sent_before, over);
  if (over) resume_writer();
}

// Only progress buys time.
void Stream::count_write(std::uint64_t sent, bool over) {
  write_pace_.moved(sent);
  if (over && !write_blocked_) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (write_blocked_) {
    if (sent == 0 && !over) return;
    write_pace_.waited(now - *write_blocked_);
  }
  write_blocked_ = now;
  if (over) {
    write_blocked_.reset();
  } else {
    set_deadline(write_pace_.deadline(now));
  }
}

void Flusher::add(std::shared_ptr<Stream> stream) {
  if (waiting_.size() >= kTogetherMax && !flushing_) flush();
  waiting_.push_back(std::move(stream));
  if (posted_) return;
  posted_ = true;
  asio::post(io_, [this] {
    posted_ = false;
    flush();
  });
}

// Who is resumed may write again: that waits for the next flush, never inside this one.
void Flusher::flush() {
  flushing_ = true;
  sending_.swap(waiting_);
  for (const auto& stream : sending_) stream->flush_write();
  sending_.clear();
  flushing_ = false;
}

void Stream::trim() {
  read_filled_ = false;
  Buffer& target = tls_ ? cipher_in_ : in_;
  if (target.capacity() > kReadBytesSmall * 4) target.release_if_empty();
}

bool Stream::input_full() const { return in_.size() >= kInputBytesMax; }

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
  deadline_before = stream.deadline();
  stream.writer_ = this;
  stream.set_deadline_in(stream.write_pace_.stall_max());
  stream.reactor_.impl().flusher.add(stream.shared_from_this());
}

bool Stream::advance_write(WriteAwaiter& write) {
  if (fd_ < 0 || (failure_ && ended_)) {
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
      write.failed = fd_ < 0 || failure_.has_value();
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
      sent = ::send(fd_, parts->iov_base, parts->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(parts);
      message.msg_iovlen = count;
      sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
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

void Stream::resume_writer() {
  WriteAwaiter* write = std::exchange(writer_, nullptr);
  if (fd_ < 0) write->failed = true;
  set_deadline(write->deadline_before);
  write->handle.resume();
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
