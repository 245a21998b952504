// Secret: key material in locked memory.
//
// Purpose: holds keys, API key plaintext and derived secrets. The bytes live in pages that are
// locked (never swapped), left out of core dumps and absent in forked children, are zeroed by the
// destructor, print as "[redacted]" and compare in constant time.
//
// Errors: when the locked arena is exhausted or locking is refused by the kernel, the process
// aborts with a message that names RLIMIT_MEMLOCK; running with unlocked keys would be a weaker
// answer (invariant I9).
// Ownership: move only; `clone()` where a copy is really meant.
// Thread safety: distinct objects may be used from distinct threads.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace bulkhead::base {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t bytes);  // zero-filled
  static Secret copy_of(ByteView bytes);
  static Secret copy_of(std::string_view text) { return copy_of(as_bytes(text)); }

  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  Secret clone() const { return copy_of(reveal()); }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // The bytes themselves. Named so that a reader of a diff sees where a secret is laid open.
  ByteView reveal() const { return {data_, size_}; }
  std::string_view reveal_text() const { return as_text(reveal()); }
  std::uint8_t* writable() { return data_; }

  friend bool operator==(const Secret& left, const Secret& right) {
    return equal_constant_time(left.reveal(), right.reveal());
  }
  friend std::ostream& operator<<(std::ostream& out, const Secret& secret);

 private:
  void release();

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bulkhead::base
