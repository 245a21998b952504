// The one door to Boost.Asio: concrete executor types (no type-erased any_io_executor).
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <chrono>

namespace bulkhead::http::detail {

namespace asio = boost::asio;
using boost::system::error_code;

using IoExecutor = asio::io_context::executor_type;
// TCP and Unix sockets alike.
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, IoExecutor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, IoExecutor>;
using Descriptor = asio::posix::basic_stream_descriptor<IoExecutor>;
using SteadyTime = std::chrono::steady_clock::time_point;

}  // namespace bulkhead::http::detail
