// A long-lived read buffer that keeps nothing it no longer needs: bytes are overwritten as they are
// consumed, moved or left behind by growth, so that only [begin, end) ever holds what a peer sent
// (invariant I6).
//
// Bytes arrive in two steps: `prepare` gives room, an operation may fill it later, `commit` makes
// it part of the content. Between the two, `consume` is allowed and never moves anything.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace bulkhead::http::detail {

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { clear(); }

  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  void consume(std::size_t bytes) {
    base::wipe(data_.get() + begin_, bytes);
    begin_ += bytes;
  }
  void clear() {
    if (begin_ != end_) consume(end_ - begin_);
  }

  // At least `bytes` of room behind the content.
  std::span<char> prepare(std::size_t bytes) {
    if (begin_ == end_) begin_ = end_ = 0;
    if (capacity_ - end_ < bytes) make_room(bytes);
    return {data_.get() + end_, capacity_ - end_};
  }
  void commit(std::size_t bytes) { end_ += bytes; }

  // Gives memory back; only while nothing was prepared.
  void release_if_empty() {
    if (!empty()) return;
    data_.reset();
    begin_ = end_ = capacity_ = 0;
  }
  std::size_t capacity() const { return capacity_; }

 private:
  void make_room(std::size_t bytes) {
    const std::size_t used = size();
    if (capacity_ - used >= bytes) {
      std::memmove(data_.get(), data_.get() + begin_, used);
      base::wipe(data_.get() + used, end_ - used);
    } else {
      std::size_t larger = capacity_ == 0 ? bytes : capacity_ * 2;
      while (larger - used < bytes) larger *= 2;
      // Not value-initialised: the content is written before it is read.
      std::unique_ptr<char[]> grown(new char[larger]);
      if (used != 0) {
        std::memcpy(grown.get(), data_.get() + begin_, used);
        base::wipe(data_.get() + begin_, used);
      }
      data_ = std::move(grown);
      capacity_ = larger;
    }
    begin_ = 0;
    end_ = used;
  }

  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace bulkhead::http::detail
