// Who is at the other end of a connection, as the kernel says it: the direct peer, which behind a proxy is
// the proxy. Nothing that a client sends can change it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http {

struct Peer {
  std::string address;  // "192.0.2.7", "2001:db8::1"; "" for a Unix socket
  std::string network;  // network_of(address)
  std::uint16_t port = 0;
};

// What bounds by address count by: an IPv4 address, or the /64 of an IPv6 one ("2001:db8::/64"), since that
// is what one customer has at the least. An IPv4 address in IPv6's form (RFC 4291 section 2.5.5.2) is the
// IPv4 address. "" for what is no address.
std::string network_of(std::string_view address);

}  // namespace bulkhead::http
