// Result<T>: a value or an Error. The return type of everything that can fail in an expected way.
//
// Reading the value of a failed result is a broken invariant and aborts; there are no exceptions
// in Bulkhead's own code. Usage:
//
//   Result<Key> key = load(path);
//   if (!key) return key.error();
//   use(*key);
//
// or BULKHEAD_TRY(key, load(path)); in a function that returns a Result itself.
#pragma once

#include <cstdlib>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/error.h"

namespace bulkhead::base {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() {
    if (!ok()) std::abort();
    return *std::get_if<0>(&state_);
  }
  const T& value() const {
    if (!ok()) std::abort();
    return *std::get_if<0>(&state_);
  }
  T value_or(T other) const { return ok() ? value() : std::move(other); }

  const Error& error() const {
    if (ok()) std::abort();
    return *std::get_if<1>(&state_);
  }
  Error take_error() {
    if (ok()) std::abort();
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    if (!error_) std::abort();
    return *error_;
  }
  Error take_error() {
    if (!error_) std::abort();
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

#define BULKHEAD_CONCAT_INNER(a, b) a##b
#define BULKHEAD_CONCAT(a, b) BULKHEAD_CONCAT_INNER(a, b)

// BULKHEAD_TRY(name, expression): declares `name` with the value, or returns the error.
#define BULKHEAD_TRY(name, ...)                                                              \
  auto BULKHEAD_CONCAT(try_, __LINE__) = (__VA_ARGS__);                                      \
  if (!BULKHEAD_CONCAT(try_, __LINE__)) return BULKHEAD_CONCAT(try_, __LINE__).take_error(); \
  auto name = std::move(*BULKHEAD_CONCAT(try_, __LINE__))

// BULKHEAD_CHECK_OK(expression): returns the error of a Result<void>.
#define BULKHEAD_CHECK_OK(...)                                                              \
  do {                                                                                      \
    if (auto check_result = (__VA_ARGS__); !check_result) return check_result.take_error(); \
  } while (false)

// The same inside a coroutine (co_return).
#define BULKHEAD_CO_TRY(name, ...)                                                              \
  auto BULKHEAD_CONCAT(try_, __LINE__) = (__VA_ARGS__);                                         \
  if (!BULKHEAD_CONCAT(try_, __LINE__)) co_return BULKHEAD_CONCAT(try_, __LINE__).take_error(); \
  auto name = std::move(*BULKHEAD_CONCAT(try_, __LINE__))

#define BULKHEAD_CO_CHECK_OK(...)                                                              \
  do {                                                                                         \
    if (auto check_result = (__VA_ARGS__); !check_result) co_return check_result.take_error(); \
  } while (false)

}  // namespace bulkhead::base
