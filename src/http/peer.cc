#include "http/peer.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace bulkhead::http {

namespace {
constexpr std::size_t kNetworkBytes = 8;  // of an IPv6 address
}  // namespace

std::string network_of(std::string_view address) {
  const std::string text(address);
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return text;
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return {};
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    inet_ntop(AF_INET, &v6.s6_addr[12], out.data(), out.size());
    return out.data();
  }
  std::memset(&v6.s6_addr[kNetworkBytes], 0, sizeof(v6.s6_addr) - kNetworkBytes);
  inet_ntop(AF_INET6, &v6, out.data(), out.size());
  return std::string(out.data()) + "/64";
}

}  // namespace bulkhead::http
