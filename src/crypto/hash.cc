#include "crypto/hash.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bulkhead::crypto {

namespace {

constexpr std::size_t kBlockBytes = 64;

// Fetched once: in OpenSSL 3 each implicit fetch takes a lock and a hash-table walk.
const EVP_MD* sha256_method() {
  static const EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return method;
}

void require(int ok) {
  if (ok != 1) std::abort();
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

// A context a thread, reused; each use ends with Final, which clears the state.
EVP_MD_CTX* thread_context() {
  thread_local Context context(EVP_MD_CTX_new());
  require(EVP_DigestInit_ex2(context.get(), sha256_method(), nullptr));
  return context.get();
}

void update(EVP_MD_CTX* context, base::ByteView data) {
  require(EVP_DigestUpdate(context, data.data(), data.size()));
}

Digest finish(EVP_MD_CTX* context) {
  Digest digest;
  unsigned bytes = 0;
  require(EVP_DigestFinal_ex(context, digest.data(), &bytes));
  return digest;
}

void update_part(EVP_MD_CTX* context, base::ByteView part) {
  std::uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(part.size() >> (56 - 8 * i));
  update(context, length);
  update(context, part);
}

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
  EVP_MD_CTX* context = thread_context();
  update(context, inner);
  feed(context);
  Digest inside = finish(context);
  context = thread_context();
  update(context, outer);
  update(context, inside);
  base::wipe(inner.data(), inner.size());
  base::wipe(outer.data(), outer.size());
  base::wipe(inside.data(), inside.size());
  return finish(context);
}

}  // namespace

Digest sha256(base::ByteView data) {
  EVP_MD_CTX* context = thread_context();
  update(context, data);
  return finish(context);
}

Digest sha256_parts(std::initializer_list<base::ByteView> parts) {
  EVP_MD_CTX* context = thread_context();
  for (base::ByteView part : parts) update_part(context, part);
  return finish(context);
}

struct Sha256::Impl {
  Context context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  require(EVP_DigestInit_ex2(impl_->context.get(), sha256_method(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
void Sha256::update(base::ByteView data) { crypto::update(impl_->context.get(), data); }
Digest Sha256::finish() { return crypto::finish(impl_->context.get()); }

Digest hmac_sha256(base::ByteView key, base::ByteView data) {
  return hmac(key, [data](EVP_MD_CTX* context) { update(context, data); });
}

Digest hmac_sha256_parts(base::ByteView key, std::initializer_list<base::ByteView> parts) {
  return hmac(key, [parts](EVP_MD_CTX* context) {
    for (base::ByteView part : parts) update_part(context, part);
  });
}

base::Secret hkdf_sha256(base::ByteView key, base::ByteView salt, std::string_view info,
                         std::size_t bytes) {
  if (bytes > 255 * std::tuple_size_v<Digest>) std::abort();
  Digest extracted = hmac_sha256(salt, key);
  base::Secret out(bytes);
  Digest previous{};
  std::size_t previous_bytes = 0;
  std::size_t done = 0;
  for (std::uint8_t counter = 1; done < bytes; ++counter) {
    previous = hmac(extracted, [&](EVP_MD_CTX* context) {
      update(context, base::ByteView(previous).first(previous_bytes));
      update(context, base::as_bytes(info));
      update(context, base::ByteView(&counter, 1));
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
