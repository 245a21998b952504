#include "crypto/hash.h"

// SHA-256 by its own functions rather than by EVP: OpenSSL 3's EVP allocates and frees a state for each
// digest, which costs more than hashing the short texts that a request has (measured: a dozen digests a
// request). The compression function, with the CPU's SHA instructions, is the same.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bulkhead::crypto {

namespace {

constexpr std::size_t kBlockBytes = 64;

void require(int ok) {
  if (ok != 1) std::abort();
}

// One hash under way. Nothing of it is left in memory afterwards.
class State {
 public:
  State() { require(SHA256_Init(&state_)); }
  ~State() { base::wipe(&state_, sizeof state_); }
  State(const State&) = delete;
  void update(base::ByteView data) { require(SHA256_Update(&state_, data.data(), data.size())); }
  void update_part(base::ByteView part) {
    std::uint8_t length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(part.size() >> (56 - 8 * i));
    update(length);
    update(part);
  }
  Digest finish() {
    Digest digest;
    require(SHA256_Final(digest.data(), &state_));
    return digest;
  }

 private:
  SHA256_CTX state_;
};

using Block = std::array<std::uint8_t, kBlockBytes>;

// The key as one block, as RFC 2104 prescribes.
Block key_block(base::ByteView key) {
  Block block{};
  if (key.size() > kBlockBytes) {
    Digest digest = sha256(key);
    std::memcpy(block.data(), digest.data(), digest.size());
  } else if (!key.empty()) {
    std::memcpy(block.data(), key.data(), key.size());
  }
  return block;
}

template <typename Feed>
Digest hmac(base::ByteView key, Feed feed) {
  Block inner = key_block(key);
  Block outer = inner;
  for (std::uint8_t& byte : inner) byte ^= 0x36;
  for (std::uint8_t& byte : outer) byte ^= 0x5c;
  State first;
  first.update(inner);
  feed(first);
  Digest inside = first.finish();
  State second;
  second.update(outer);
  second.update(inside);
  base::wipe(inner.data(), inner.size());
  base::wipe(outer.data(), outer.size());
  base::wipe(inside.data(), inside.size());
  return second.finish();
}

}  // namespace

Digest sha256(base::ByteView data) {
  State state;
  state.update(data);
  return state.finish();
}

Digest sha256_parts(std::initializer_list<base::ByteView> parts) {
  State state;
  for (base::ByteView part : parts) state.update_part(part);
  return state.finish();
}

struct Sha256::Impl {
  State state;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
void Sha256::update(base::ByteView data) { impl_->state.update(data); }
Digest Sha256::finish() { return impl_->state.finish(); }

Digest hmac_sha256(base::ByteView key, base::ByteView data) {
  return hmac(key, [data](State& state) { state.update(data); });
}

Digest hmac_sha256_parts(base::ByteView key, std::initializer_list<base::ByteView> parts) {
  return hmac(key, [parts](State& state) {
    for (base::ByteView part : parts) state.update_part(part);
  });
}

base::Secret hkdf_sha256(base::ByteView key, base::ByteView salt, std::string_view info, std::size_t bytes) {
  if (bytes > 255 * std::tuple_size_v<Digest>) std::abort();
  Digest extracted = hmac_sha256(salt, key);
  base::Secret out(bytes);
  Digest previous{};
  std::size_t previous_bytes = 0;
  std::size_t done = 0;
  for (std::uint8_t counter = 1; done < bytes; ++counter) {
    previous = hmac(extracted, [&](State& state) {
      state.update(base::ByteView(previous).first(previous_bytes));
      state.update(base::as_bytes(info));
      state.update(base::ByteView(&counter, 1));
    });
    previous_bytes = previous.size();
    std::size_t take = std::min(bytes - done, previous.size());
    std::memcpy(out.writable() + done, previous.data(), take);
    done += take;
  }
  base::wipe(previous.data(), previous.size());
  base::wipe(extracted.data(), extracted.size());
  return out;
}

}  // namespace bulkhead::crypto
