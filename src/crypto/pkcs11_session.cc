#include "crypto/pkcs11_session.h"

#include <sys/stat.h>

#include <array>
#include <vector>

#include "base/file.h"
#include "crypto/aead.h"

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kPinBytesMax = 256;
constexpr CK_ULONG kSlotsMax = 4096;
constexpr CK_ULONG kTagBits = 128;
constexpr CK_ULONG kKeyBytes = 32;
constexpr CK_RV kAeadDecryptFailed = 0x42;  // CKR_AEAD_DECRYPT_FAILED, of PKCS#11 3.0

// PKCS#11 pads its texts with spaces.
template <std::size_t N>
std::string_view text_of(const unsigned char (&field)[N]) {
  std::string_view text(reinterpret_cast<const char*>(field), N);
  const std::size_t last = text.find_last_not_of(' ');
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

// Changes with every edit of the file, so that a refused PIN is tried again only when there is another.
std::string state_of(const std::filesystem::path& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) return "gone";
  return std::to_string(found.st_dev) + "/" + std::to_string(found.st_ino) + "/" +
         std::to_string(found.st_size) + "/" + std::to_string(found.st_mtim.tv_sec) + "." +
         std::to_string(found.st_mtim.tv_nsec) + "/" + std::to_string(found.st_ctim.tv_sec) + "." +
         std::to_string(found.st_ctim.tv_nsec);
}

// What a look at the token's tokens anew may cure.
bool may_be_stale(CK_RV result) {
  return result == CKR_SESSION_HANDLE_INVALID || result == CKR_SESSION_CLOSED ||
         result == CKR_DEVICE_REMOVED || result == CKR_TOKEN_NOT_PRESENT ||
         result == CKR_TOKEN_NOT_RECOGNIZED || result == CKR_SLOT_ID_INVALID ||
         result == CKR_USER_NOT_LOGGED_IN || result == CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_BYTE* bytes_of(base::ByteView view) { return const_cast<CK_BYTE*>(view.data()); }

// CKM_AES_GCM with its parameters, which it points to.
struct GcmMechanism {
  GcmMechanism(base::ByteView iv, std::string_view associated)
      : parameters{bytes_of(iv),      iv.size(), iv.size() * 8, bytes_of(base::as_bytes(associated)),
                   associated.size(), kTagBits},
        mechanism{CKM_AES_GCM, &parameters, sizeof parameters} {}
  GcmMechanism(const GcmMechanism&) = delete;

  CK_GCM_PARAMS parameters;
  CK_MECHANISM mechanism;
};

}  // namespace

std::string pkcs11_name(const Pkcs11Options& options) {
  return "PKCS#11 token " + (options.token.empty() ? "with serial " + options.serial : options.token) +
         ", key " + options.key;
}

Error Pkcs11Session::misconfigured(std::string what) const {
  return Error(KeyProviderError::Misconfigured, "The token's key is not as it must be.",
               pkcs11_name(options_) + ": " + std::move(what));
}

Error Pkcs11Session::revoked(std::string what) const {
  return Error(KeyProviderError::Revoked, "The token does not give its key any more.",
               pkcs11_name(options_) + ": " + std::move(what));
}

Error Pkcs11Session::failed(CK_RV result, std::string_view call, bool& stale) const {
  if (may_be_stale(result)) stale = true;
  const std::string what = std::string(call) + ": " + pkcs11_result_name(result);
  switch (result) {
    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID: return revoked(what + ": the key went while it was used");
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
    case CKR_USER_PIN_NOT_INITIALIZED:
      return revoked(what + ": let the token's security officer set the PIN anew");
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
      return misconfigured(what + ": the token must offer CKM_AES_GCM with an IV of the caller's");
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_TYPE_INCONSISTENT:
    case CKR_KEY_SIZE_RANGE:
      return misconfigured(what + ": make an AES-256 key that may encrypt and decrypt");
    default:
      return Error(KeyProviderError::Unavailable, "The token does not answer as it should. Try again later.",
                   pkcs11_name(options_) + ": " + what);
  }
}

Result<std::unique_ptr<Pkcs11Session>> Pkcs11Session::open(Pkcs11Module& module, const Pkcs11Options& options,
                                                           For purpose, bool& stale) {
  BULKHEAD_TRY(use, module.use());
  std::unique_ptr<Pkcs11Session> session(new Pkcs11Session(module, options, std::move(use)));
  BULKHEAD_TRY(slot, session->find_token(stale));
  Pkcs11Module::Token& token = module.token(slot);
  session->turn_ = std::unique_lock(token.mutex);
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (purpose == For::Writing ? CKF_RW_SESSION : 0);
  const CK_RV opened = session->call_.C_OpenSession(slot, flags, nullptr, nullptr, &session->session_);
  if (opened != CKR_OK) return session->failed(opened, "C_OpenSession", stale);
  session->open_ = true;
  BULKHEAD_CHECK_OK(session->log_in(token, stale));
  return session;
}

Pkcs11Session::~Pkcs11Session() {
  if (logged_in_) call_.C_Logout(session_);
  if (open_) call_.C_CloseSession(session_);
}

bool Pkcs11Session::is_token(CK_SLOT_ID slot) const {
  CK_TOKEN_INFO info{};
  if (call_.C_GetTokenInfo(slot, &info) != CKR_OK || (info.flags & CKF_TOKEN_INITIALIZED) == 0) return false;
  const bool label_fits = options_.token.empty() || text_of(info.label) == options_.token;
  const bool serial_fits = options_.serial.empty() || text_of(info.serialNumber) == options_.serial;
  return label_fits && serial_fits;
}

Result<CK_SLOT_ID> Pkcs11Session::find_token(bool& stale) {
  const std::string name = options_.token + "\n" + options_.serial;
  if (const auto known = module_.known_slot(name); known && is_token(*known)) return *known;
  CK_ULONG count = 0;
  CK_RV result = call_.C_GetSlotList(CK_TRUE, nullptr, &count);
  if (result != CKR_OK) return failed(result, "C_GetSlotList", stale);
  if (count > kSlotsMax) return misconfigured("the module shows more than 4096 tokens");
  std::vector<CK_SLOT_ID> slots(count);
  result = call_.C_GetSlotList(CK_TRUE, slots.data(), &count);
  if (result == CKR_BUFFER_TOO_SMALL) stale = true;  // one came in between
  if (result != CKR_OK) return failed(result, "C_GetSlotList", stale);
  slots.resize(count);
  std::vector<CK_SLOT_ID> found;
  for (CK_SLOT_ID slot : slots) {
    if (is_token(slot)) found.push_back(slot);
  }
  if (found.size() == 1) {
    module_.note_slot(name, found.front());
    return found.front();
  }
  if (found.size() > 1) return misconfigured("several tokens have this label; name one by `serial`");
  stale = true;
  return Error(
      KeyProviderError::Unavailable, "The token can't be found. Try again later.",
      pkcs11_name(options_) + ": the module shows no such token; connect it, or set `token` or `serial`");
}

Result<void> Pkcs11Session::log_in(Pkcs11Module::Token& token, bool& stale) {
  const std::string state = state_of(options_.pin_file);
  if (state == token.refused_pin) {
    return revoked("the token refused the PIN, and it is not tried again until " +
                   options_.pin_file.string() +
                   " changes, so that the token does not lock itself; write the right PIN there");
  }
  if (!token.refused_pin.empty()) {
    // Another PIN, then perhaps because the token has another; some libraries (SoftHSM) know only the one
    // that it had when they were initialised.
    token.refused_pin.clear();
    stale = true;
    return revoked("the PIN file has changed");
  }
  auto pin = base::read_secret_file(options_.pin_file, kPinBytesMax);
  if (!pin) {
    return misconfigured("the PIN can't be read: " + pin.error().describe() +
                         "; `pin_file` must be the gateway's own, with mode 0600");
  }
  auto log_in = [&] { return call_.C_Login(session_, CKU_USER, pin->writable(), pin->size()); };
  CK_RV result = log_in();
  if (result == CKR_USER_ALREADY_LOGGED_IN) {
    // Somebody else's in this process, or one that could not be ended. Only a login of one's own shows that
    // the PIN still holds.
    call_.C_Logout(session_);
    result = log_in();
  }
  if (result == CKR_PIN_INCORRECT || result == CKR_PIN_INVALID || result == CKR_PIN_LEN_RANGE) {
    token.refused_pin = state;
    return revoked("C_Login: " + pkcs11_result_name(result) + "; write the token's PIN to " +
                   options_.pin_file.string());
  }
  if (result != CKR_OK) return failed(result, "C_Login", stale);
  logged_in_ = true;
  return {};
}

Result<void> Pkcs11Session::use_key(bool& stale) {
  BULKHEAD_TRY(count, find_key(stale));
  if (count > 1) return misconfigured("several keys have this label; give each another");
  if (count == 0) {
    return revoked(
        "there is no such key; make one (`bulkhead keys provider-init`), or set `key` to the label of "
        "one");
  }
  return check_key(stale);
}

Result<bool> Pkcs11Session::has_key(bool& stale) {
  BULKHEAD_TRY(count, find_key(stale));
  return count > 0;
}

Result<void> Pkcs11Session::make_key(bool& stale) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_KEY_TYPE type = CKK_AES;
  CK_ULONG bytes = kKeyBytes;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  std::string label = options_.key;
  std::array<CK_ATTRIBUTE, 12> wanted = {{{CKA_CLASS, &kind, sizeof kind},
                                          {CKA_KEY_TYPE, &type, sizeof type},
                                          {CKA_VALUE_LEN, &bytes, sizeof bytes},
                                          {CKA_TOKEN, &yes, sizeof yes},
                                          {CKA_PRIVATE, &yes, sizeof yes},
                                          {CKA_SENSITIVE, &yes, sizeof yes},
                                          {CKA_EXTRACTABLE, &no, sizeof no},
                                          {CKA_ENCRYPT, &yes, sizeof yes},
                                          {CKA_DECRYPT, &yes, sizeof yes},
                                          {CKA_WRAP, &no, sizeof no},
                                          {CKA_UNWRAP, &no, sizeof no},
                                          {CKA_LABEL, label.data(), label.size()}}};
  CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  const CK_RV result = call_.C_GenerateKey(session_, &mechanism, wanted.data(), wanted.size(), &key_);
  if (result != CKR_OK) return failed(result, "C_GenerateKey", stale);
  return {};
}

Result<std::size_t> Pkcs11Session::find_key(bool& stale) {
  CK_OBJECT_CLASS kind = CKO_SECRET_KEY;
  CK_BBOOL yes = CK_TRUE;
  std::string label = options_.key;
  std::array<CK_ATTRIBUTE, 3> wanted = {{{CKA_CLASS, &kind, sizeof kind},
                                         {CKA_TOKEN, &yes, sizeof yes},
                                         {CKA_LABEL, label.data(), label.size()}}};
  CK_RV result = call_.C_FindObjectsInit(session_, wanted.data(), wanted.size());
  if (result != CKR_OK) return failed(result, "C_FindObjectsInit", stale);
  std::array<CK_OBJECT_HANDLE, 2> found{};
  CK_ULONG count = 0;
  result = call_.C_FindObjects(session_, found.data(), found.size(), &count);
  call_.C_FindObjectsFinal(session_);
  if (result != CKR_OK) return failed(result, "C_FindObjects", stale);
  key_ = found.front();
  return count;
}

Result<void> Pkcs11Session::check_key(bool& stale) {
  CK_KEY_TYPE type = 0;
  CK_ULONG bytes = 0;
  CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE, encrypts = CK_FALSE, decrypts = CK_FALSE;
  std::array<CK_ATTRIBUTE, 6> seen = {{{CKA_KEY_TYPE, &type, sizeof type},
                                       {CKA_VALUE_LEN, &bytes, sizeof bytes},
                                       {CKA_SENSITIVE, &sensitive, sizeof sensitive},
                                       {CKA_EXTRACTABLE, &extractable, sizeof extractable},
                                       {CKA_ENCRYPT, &encrypts, sizeof encrypts},
                                       {CKA_DECRYPT, &decrypts, sizeof decrypts}}};
  const CK_RV result = call_.C_GetAttributeValue(session_, key_, seen.data(), seen.size());
  if (result != CKR_OK) return failed(result, "C_GetAttributeValue", stale);
  if (type != CKK_AES || bytes != kKeyBytes)
    return misconfigured("it is no AES key of 32 bytes; make one that is");
  if (sensitive != CK_TRUE || extractable != CK_FALSE) {
    return misconfigured(
        "it could be taken out of the token; make another with CKA_SENSITIVE true and CKA_EXTRACTABLE false "
        "(`bulkhead keys provider-init`), and name it in `key`");
  }
  if (encrypts != CK_TRUE || decrypts != CK_TRUE) {
    return misconfigured("it may not encrypt and decrypt; set CKA_ENCRYPT and CKA_DECRYPT, or make another");
  }
  return {};
}

Result<std::size_t> Pkcs11Session::encrypt(base::ByteView iv, std::string_view associated,
                                           base::ByteView plain, base::Bytes& out, bool& stale) {
  GcmMechanism gcm(iv, associated);
  CK_RV result = call_.C_EncryptInit(session_, &gcm.mechanism, key_);
  if (result != CKR_OK) return failed(result, "C_EncryptInit", stale);
  CK_ULONG used = out.size();
  result = call_.C_Encrypt(session_, bytes_of(plain), plain.size(), out.data(), &used);
  if (result != CKR_OK) return failed(result, "C_Encrypt", stale);
  return used;
}

Result<std::size_t> Pkcs11Session::decrypt(base::ByteView iv, std::string_view associated,
                                           base::ByteView cipher, base::Secret& out, bool& stale) {
  GcmMechanism gcm(iv, associated);
  CK_RV result = call_.C_DecryptInit(session_, &gcm.mechanism, key_);
  if (result != CKR_OK) return failed(result, "C_DecryptInit", stale);
  CK_ULONG used = out.size();
  result = call_.C_Decrypt(session_, bytes_of(cipher), cipher.size(), out.writable(), &used);
  switch (result) {
    case CKR_OK: return used;
    // How a tag that does not fit is told: tokens differ.
    case CKR_ENCRYPTED_DATA_INVALID:
    case CKR_ENCRYPTED_DATA_LEN_RANGE:
    case CKR_DATA_INVALID:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR:
    case kAeadDecryptFailed:
      return Error(CryptoError::SealBroken, "A wrapped key does not open.",
                   pkcs11_name(options_) + ": C_Decrypt: " + pkcs11_result_name(result) +
                       ": it was wrapped by another key, or was altered");
    default: return failed(result, "C_Decrypt", stale);
  }
}

}  // namespace bulkhead::crypto
