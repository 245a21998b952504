// Pkcs11Module: one PKCS#11 library (OASIS PKCS#11 2.40) in this process. pkcs11_provider.cc's own.
//
// A library is initialised once for the whole process, whoever uses it, so providers that name the same
// file share one module; the last one to go finalises it. It is never unloaded: what it left in the process
// (exit handlers, threads) would be left without code.
//
// Sessions are opened for one use and closed again, and each logs in anew: access that was withdrawn (a
// changed PIN, a locked token) is noticed at the next use. Uses of one token take turns, because PKCS#11
// knows one login a token and process.
//
// Thread safety: all members from every thread; all block, for as long as the library likes.
#pragma once

#include <p11-kit/pkcs11.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "base/result.h"
#include "crypto/key_provider.h"

namespace bulkhead::crypto {

// "CKR_PIN_LOCKED", or the number.
std::string pkcs11_result_name(CK_RV result);

class Pkcs11Module {
 public:
  // Loads the library, or gives the one that is loaded already. Misconfigured: what to change.
  static base::Result<std::shared_ptr<Pkcs11Module>> load(const std::filesystem::path& file);
  ~Pkcs11Module();
  Pkcs11Module(const Pkcs11Module&) = delete;

  // What one token of it is doing. Lives as long as the module.
  struct Token {
    std::mutex mutex;         // held for the whole of a login
    std::string refused_pin;  // the state of the PIN file whose PIN the token refused
  };

  // Keeps the library initialised while it is held; initialises it first where it is not.
  using InUse = std::shared_lock<std::shared_mutex>;
  base::Result<InUse> use();
  // Finalises and initialises it, unless somebody uses it now: some libraries see tokens that came, or came
  // back, only then. The caller must not hold an InUse.
  void look_again();
  const CK_FUNCTION_LIST& functions() const { return *functions_; }
  Token& token(CK_SLOT_ID slot);
  // Where a token of this name was found last. Looking there first leaves the module's other tokens alone,
  // one of which may hang. Kept when the module looks again: whoever asks sees for itself whether it is still
  // so.
  std::optional<CK_SLOT_ID> known_slot(const std::string& name);
  void note_slot(const std::string& name, CK_SLOT_ID slot);

 private:
  Pkcs11Module() = default;
  base::Result<void> initialise();  // with `life_` held alone

  CK_FUNCTION_LIST* functions_ = nullptr;
  std::shared_mutex life_;
  bool initialised_ = false;
  bool ours_ = false;  // nobody else in the process had initialised it
  std::mutex tokens_mutex_;
  std::map<CK_SLOT_ID, std::unique_ptr<Token>> tokens_;
  std::map<std::string, CK_SLOT_ID> known_slots_;
};

}  // namespace bulkhead::crypto
