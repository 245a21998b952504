// Pkcs11Session: one use of one key in one token. pkcs11_provider.cc's own.
//
// `open` finds the token and logs in; the destructor logs out and closes. Holds the token's turn meanwhile.
// `use_key` comes before `encrypt` and `decrypt`. Errors: as pkcs11_provider.h says. Not thread safe.
#pragma once

#include "base/secret.h"
#include "crypto/pkcs11_module.h"
#include "crypto/pkcs11_provider.h"

namespace bulkhead::crypto {

class Pkcs11Session {
 public:
  enum class For { Reading, Writing };  // Writing: to make a key
  // `stale`: set when what the module knows of its tokens may be out of date; look_again() may help.
  static base::Result<std::unique_ptr<Pkcs11Session>> open(Pkcs11Module& module, const Pkcs11Options& options,
                                                           For purpose, bool& stale);
  ~Pkcs11Session();
  Pkcs11Session(const Pkcs11Session&) = delete;

  // Finds the key and looks whether it is as it must be.
  base::Result<void> use_key(bool& stale);
  base::Result<bool> has_key(bool& stale);
  base::Result<void> make_key(bool& stale);
  // AES-GCM under the key. `out` must have room for all; its used bytes come back.
  base::Result<std::size_t> encrypt(base::ByteView iv, std::string_view associated, base::ByteView plain,
                                    base::Bytes& out, bool& stale);
  base::Result<std::size_t> decrypt(base::ByteView iv, std::string_view associated, base::ByteView cipher,
                                    base::Secret& out, bool& stale);

 private:
  Pkcs11Session(Pkcs11Module& module, const Pkcs11Options& options, Pkcs11Module::InUse use)
      : module_(module), call_(module.functions()), options_(options), use_(std::move(use)) {}
  bool is_token(CK_SLOT_ID slot) const;
  base::Result<CK_SLOT_ID> find_token(bool& stale);
  base::Result<void> log_in(Pkcs11Module::Token& token, bool& stale);
  base::Result<std::size_t> find_key(bool& stale);  // how many fit, two at most
  base::Result<void> check_key(bool& stale);
  base::Error failed(CK_RV result, std::string_view call, bool& stale) const;
  base::Error misconfigured(std::string what) const;
  base::Error revoked(std::string what) const;

  Pkcs11Module& module_;
  const CK_FUNCTION_LIST& call_;
  const Pkcs11Options& options_;
  const Pkcs11Module::InUse use_;
  std::unique_lock<std::mutex> turn_;
  CK_SESSION_HANDLE session_ = 0;
  CK_OBJECT_HANDLE key_ = 0;
  bool open_ = false, logged_in_ = false;
};

// "PKCS#11 token hospital, key kek".
std::string pkcs11_name(const Pkcs11Options& options);

}  // namespace bulkhead::crypto
