// Errors as values.
//
// Each module declares its own error enum and, next to it, an overload of `error_name` that
// names the module and the enumerator. `Error` carries one such code with two texts that must
// never be mixed up:
//   message  for the caller over the wire. Says what to do next. Never holds a secret, a path,
//            another tenant's name or anything the caller did not send.
//   detail   for the operator's log. May name files and upstreams. Never holds payload or keys.
//
// Thread safety: values; as safe as std::string.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace bulkhead::base {

struct ErrorName {
  std::string_view module;  // "identity"
  std::string_view code;    // "token_expired": stable, appears in audit records and metrics
};

// An enum is an error enum when `error_name(E)` is found by argument-dependent lookup.
template <typename E>
concept ErrorEnum = std::is_enum_v<E> && requires(E e) {
  { error_name(e) } -> std::same_as<ErrorName>;
};

class [[nodiscard]] Error {
 public:
  template <ErrorEnum E>
  explicit Error(E code, std::string message, std::string detail = {})
      : type_(type_of<E>()),
        value_(static_cast<int>(code)),
        name_(error_name(code)),
        message_(std::move(message)),
        detail_(std::move(detail)) {}

  // The code, when it belongs to the enum E.
  template <ErrorEnum E>
  std::optional<E> as() const {
    if (type_ != type_of<E>()) return std::nullopt;
    return static_cast<E>(value_);
  }
  template <ErrorEnum E>
  bool is(E code) const {
    return type_ == type_of<E>() && value_ == static_cast<int>(code);
  }

  ErrorName name() const { return name_; }
  const std::string& message() const { return message_; }
  const std::string& detail() const { return detail_; }

  // The request parameter at fault, when there is one ("messages[2].content").
  const std::string& parameter() const { return parameter_; }
  Error&& with_parameter(std::string parameter) && {
    parameter_ = std::move(parameter);
    return std::move(*this);
  }

  // "identity.token_expired: message (detail)" for the operator's log.
  std::string describe() const;

 private:
  using TypeTag = const void*;
  template <typename E>
  static TypeTag type_of() {
    static const char tag = 0;
    return &tag;
  }

  TypeTag type_;
  int value_;
  ErrorName name_;
  std::string message_;
  std::string detail_;
  std::string parameter_;
};

}  // namespace bulkhead::base
