#include "crypto/envelope.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <shared_mutex>

#include "base/file.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;
using base::Secret;

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kKeyFileBytesMax = 4096;
constexpr std::size_t kVersionsMax = 16;
constexpr std::size_t kLineBytesMax = 12 + 2 * kKeyBytes + 1;  // "v4294967295 " and the key

Error bad_file(std::string what) {
  return Error(CryptoError::BadKey, "The platform key is not usable: " + what +
                                        ". Expected lines of the form \"v1 <64 hex digits>\".");
}

// The line "v<N> <hex>\n" in locked memory.
Secret key_line(std::uint32_t version, const Secret& key) {
  std::string head = "v" + std::to_string(version) + " ";
  std::string hex = base::hex_encode(key.reveal());
  Secret line(head.size() + hex.size() + 1);
  std::uint8_t* out = line.writable();
  out = std::copy(head.begin(), head.end(), out);
  out = std::copy(hex.begin(), hex.end(), out);
  *out = '\n';
  base::wipe(hex);
  return line;
}

}  // namespace

struct PlatformKeys::Impl {
  mutable std::shared_mutex mutex;
  std::map<std::uint32_t, Secret> versions;
  std::filesystem::path file;  // empty: from the environment

  // "v<N> <hex>" lines into `versions`.
  Result<void> read(std::string_view text) {
    while (!text.empty()) {
      std::size_t end = text.find('\n');
      std::string_view line = text.substr(0, end);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
      if (line.empty()) continue;
      std::size_t space = line.find(' ');
      if (line.front() != 'v' || space == std::string_view::npos) return bad_file("a line is malformed");
      std::uint32_t version = 0;
      auto [stop, failed] = std::from_chars(line.data() + 1, line.data() + space, version);
      if (failed != std::errc() || stop != line.data() + space || version == 0) {
        return bad_file("a version number is malformed");
      }
      auto key = base::hex_decode(line.substr(space + 1));
      if (!key) return bad_file("a key is not 64 hex digits");
      if (key->size() != kKeyBytes) {
        base::wipe(*key);
        return bad_file("a key is not 64 hex digits");
      }
      bool inserted = versions.emplace(version, Secret::copy_of(*key)).second;
      base::wipe(*key);
      if (!inserted) return bad_file("a version stands there twice");
      if (versions.size() > kVersionsMax) return bad_file("too many versions");
    }
    if (versions.empty()) return bad_file("it holds no key");
    return Result<void>();
  }

  Result<void> write() const {
    std::string content;
    content.reserve(versions.size() * kLineBytesMax);  // growing would leave copies behind
    for (const auto& [version, key] : versions) content += key_line(version, key).reveal_text();
    auto written = base::write_file_atomically(file, content);
    base::wipe(content);
    return written;
  }
};

PlatformKeys::PlatformKeys(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PlatformKeys::~PlatformKeys() = default;

Result<std::unique_ptr<PlatformKeys>> PlatformKeys::load(const std::filesystem::path& file) {
  BULKHEAD_TRY(text, base::read_secret_file(file, kKeyFileBytesMax));
  BULKHEAD_TRY(keys, parse(text));
  keys->impl_->file = file;
  return keys;
}

Result<std::unique_ptr<PlatformKeys>> PlatformKeys::parse(const Secret& text) {
  auto impl = std::make_unique<Impl>();
  BULKHEAD_CHECK_OK(impl->read(text.reveal_text()));
  return std::unique_ptr<PlatformKeys>(new PlatformKeys(std::move(impl)));
}

Secret PlatformKeys::generate_file_content() { return key_line(1, random_secret(kKeyBytes)); }

std::uint32_t PlatformKeys::newest() const {
  std::shared_lock lock(impl_->mutex);
  return impl_->versions.rbegin()->first;
}

WrappedKey PlatformKeys::wrap(const Secret& key, std::string_view associated) const {
  std::shared_lock lock(impl_->mutex);
  const auto& [version, platform_key] = *impl_->versions.rbegin();
  return {version, seal(platform_key, key.reveal(), base::as_bytes(associated))};
}

Result<Secret> PlatformKeys::unwrap(const WrappedKey& wrapped, std::string_view associated) const {
  std::shared_lock lock(impl_->mutex);
  auto version = impl_->versions.find(wrapped.platform_version);
  if (version == impl_->versions.end()) {
    return Error(
        CryptoError::BadKey, "A key was wrapped by a platform key that is not here.",
        "platform key version " + std::to_string(wrapped.platform_version) + " is missing from the key file");
  }
  return open_secret(version->second, wrapped.box, base::as_bytes(associated));
}

Result<Secret> PlatformKeys::derive(std::uint32_t version, std::string_view purpose) const {
  std::shared_lock lock(impl_->mutex);
  auto found = impl_->versions.find(version);
  if (found == impl_->versions.end()) {
    return Error(CryptoError::BadKey, "A platform key version is missing.",
                 "platform key version " + std::to_string(version));
  }
  return hkdf_sha256(found->second.reveal(), {}, "bulkhead/v1/platform/" + std::string(purpose), kKeyBytes);
}

Result<std::uint32_t> PlatformKeys::add_version() {
  std::unique_lock lock(impl_->mutex);
  if (impl_->file.empty()) {
    return Error(CryptoError::Unsupported,
                 "The platform key comes from the environment and can't be rotated from here. Use "
                 "data.platform_key_file.");
  }
  // A file that load() would refuse must never be written.
  if (impl_->versions.size() >= kVersionsMax ||
      impl_->versions.rbegin()->first == std::numeric_limits<std::uint32_t>::max()) {
    return Error(CryptoError::Unsupported,
                 "The platform key has too many versions. Finish the rotation under way first.",
                 "at most " + std::to_string(kVersionsMax) + " versions");
  }
  std::uint32_t version = impl_->versions.rbegin()->first + 1;
  impl_->versions.emplace(version, random_secret(kKeyBytes));
  if (auto written = impl_->write(); !written) {
    impl_->versions.erase(version);
    return written.take_error();
  }
  return version;
}

Result<void> PlatformKeys::retire_older() {
  std::unique_lock lock(impl_->mutex);
  if (impl_->file.empty() || impl_->versions.size() == 1) return Result<void>();
  std::map<std::uint32_t, Secret> retired;
  auto newest = std::prev(impl_->versions.end());
  while (impl_->versions.begin() != newest) {
    retired.insert(impl_->versions.extract(impl_->versions.begin()));
  }
  if (auto written = impl_->write(); !written) {
    impl_->versions.merge(retired);
    return written.take_error();
  }
  return Result<void>();
}

}  // namespace bulkhead::crypto
