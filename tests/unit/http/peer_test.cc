#include "http/peer.h"

#include <gtest/gtest.h>

#include "http/detail/connection_book.h"

namespace bulkhead::http {
namespace {

TEST(Peer, Ipv4CountsByAddressAndIpv6ByNetwork) {
  EXPECT_EQ(network_of("192.0.2.7"), "192.0.2.7");
  EXPECT_EQ(network_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(network_of("2001:db8:1:2::"), "2001:db8:1:2::/64");
  EXPECT_NE(network_of("2001:db8:1:3::1"), "2001:db8:1:2::/64");
  EXPECT_EQ(network_of("::1"), "::/64");
  EXPECT_EQ(network_of("::ffff:192.0.2.7"), "192.0.2.7") << "or one client would have two shares";
  for (const char* none : {"", "unix", "192.0.2", "example.org", "192.0.2.7:80", "[::1]"}) {
    EXPECT_EQ(network_of(none), "") << none;
  }
}

TEST(ConnectionBook, BoundsTheWholeAndEachNetwork) {
  detail::ConnectionBook book;
  const auto enter = [&book](const std::string& network) { return book.enter(network, 4, 2); };
  EXPECT_TRUE(enter("a"));
  EXPECT_TRUE(enter("a"));
  EXPECT_FALSE(enter("a"));
  EXPECT_TRUE(enter("b")) << "control: another network has its own share";
  EXPECT_TRUE(enter("")) << "a Unix socket";
  EXPECT_FALSE(enter("c")) << "the whole is used up";
  book.leave("a");
  EXPECT_TRUE(enter("c"));
  book.leave("");
  EXPECT_TRUE(enter("a")) << "and given back to who had it";
  EXPECT_FALSE(enter("a"));
}

}  // namespace
}  // namespace bulkhead::http
