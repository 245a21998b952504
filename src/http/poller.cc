#include "http/detail/poller.h"

#include <unistd.h>

#include <cstdlib>

namespace bulkhead::http::detail {

namespace {
constexpr int kEventsPerWake = 256;
}  // namespace

PollSet::PollSet() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
  // Out of descriptors at its very start, the process could serve nobody.
  if (fd_ < 0) std::abort();
}

PollSet::~PollSet() { ::close(fd_); }

bool PollSet::add(int fd, Polled& polled) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &polled;
  return epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void PollSet::remove(int fd, Polled& polled) {
  epoll_event ignored{};
  epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &ignored);
  for (epoll_event* event = batch_begin_; event != batch_end_; ++event) {
    if (event->data.ptr == &polled) event->data.ptr = nullptr;
  }
}

void PollSet::dispatch() {
  epoll_event events[kEventsPerWake];
  const int count = epoll_wait(fd_, events, kEventsPerWake, 0);
  if (count <= 0) return;
  batch_begin_ = events;
  batch_end_ = events + count;
  while (batch_begin_ != batch_end_) {
    const epoll_event event = *batch_begin_++;
    if (event.data.ptr) static_cast<Polled*>(event.data.ptr)->on_events(event.events);
  }
  batch_begin_ = batch_end_ = nullptr;
}

Poller::Poller(asio::io_context& io) : set_(std::make_shared<PollSet>()), epoll_(io) {
  epoll_.assign(set_->fd());
  wait();
}

Poller::~Poller() { epoll_.release(); }

void Poller::wait() {
  epoll_.async_wait(Descriptor::wait_read, [this](error_code error) {
    if (error) return;
    set_->dispatch();
    wait();
  });
}

}  // namespace bulkhead::http::detail
