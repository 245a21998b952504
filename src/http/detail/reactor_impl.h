// What a Reactor is made of; for http's own files.
#pragma once

#include <atomic>
#include <string_view>

#include "http/detail/asio.h"
#include "http/detail/flusher.h"
#include "http/detail/poller.h"
#include "http/detail/sweeper.h"
#include "http/reactor.h"

namespace bulkhead::http {

struct Reactor::Impl {
  Impl();
  // The current IMF-fixdate ("Tue, 24 Nov 2026 12:00:00 GMT"), made once a second.
  std::string_view http_date();

  // One thread runs it, so descriptors need no locks; the scheduler keeps its own, because post()
  // is called from everywhere.
  detail::asio::io_context io;
  detail::asio::executor_work_guard<detail::IoExecutor> work;
  detail::Sweeper sweeper;
  detail::Poller poller;
  detail::Flusher flusher;
  std::atomic<bool> stopped{false};

 private:
  std::int64_t date_second_ = -1;
  char date_[40] = {};
};

}  // namespace bulkhead::http
