#include "crypto/pkcs11_module.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::crypto {

using base::Error;
using base::Result;

namespace {

Error misconfigured(const std::filesystem::path& file, std::string what) {
  return Error(KeyProviderError::Misconfigured, "The PKCS#11 module can't be used.",
               file.string() + ": " + std::move(what));
}

// Its code will run beside every key of the platform.
Result<void> check_file(const std::filesystem::path& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) {
    return misconfigured(file, std::string(std::strerror(errno)) + "; set `module` to the library's path");
  }
  if (!S_ISREG(found.st_mode)) return misconfigured(file, "is no file; set `module` to the library's path");
  if (found.st_uid != 0 && found.st_uid != ::geteuid()) {
    return misconfigured(file, "belongs to another user; chown it to root");
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return misconfigured(file, "may be written by others; chmod go-w it");
  }
  return {};
}

}  // namespace

std::string pkcs11_result_name(CK_RV result) {
  switch (result) {
#define BULKHEAD_CKR(name) \
  case name: return #name;
    BULKHEAD_CKR(CKR_OK)
    BULKHEAD_CKR(CKR_HOST_MEMORY)
    BULKHEAD_CKR(CKR_SLOT_ID_INVALID)
    BULKHEAD_CKR(CKR_GENERAL_ERROR)
    BULKHEAD_CKR(CKR_FUNCTION_FAILED)
    BULKHEAD_CKR(CKR_ARGUMENTS_BAD)
    BULKHEAD_CKR(CKR_NEED_TO_CREATE_THREADS)
    BULKHEAD_CKR(CKR_CANT_LOCK)
    BULKHEAD_CKR(CKR_ATTRIBUTE_TYPE_INVALID)
    BULKHEAD_CKR(CKR_DATA_INVALID)
    BULKHEAD_CKR(CKR_DEVICE_ERROR)
    BULKHEAD_CKR(CKR_DEVICE_MEMORY)
    BULKHEAD_CKR(CKR_DEVICE_REMOVED)
    BULKHEAD_CKR(CKR_ENCRYPTED_DATA_INVALID)
    BULKHEAD_CKR(CKR_ENCRYPTED_DATA_LEN_RANGE)
    BULKHEAD_CKR(CKR_FUNCTION_NOT_SUPPORTED)
    BULKHEAD_CKR(CKR_KEY_HANDLE_INVALID)
    BULKHEAD_CKR(CKR_KEY_SIZE_RANGE)
    BULKHEAD_CKR(CKR_KEY_TYPE_INCONSISTENT)
    BULKHEAD_CKR(CKR_KEY_FUNCTION_NOT_PERMITTED)
    BULKHEAD_CKR(CKR_MECHANISM_INVALID)
    BULKHEAD_CKR(CKR_MECHANISM_PARAM_INVALID)
    BULKHEAD_CKR(CKR_OBJECT_HANDLE_INVALID)
    BULKHEAD_CKR(CKR_OPERATION_ACTIVE)
    BULKHEAD_CKR(CKR_OPERATION_NOT_INITIALIZED)
    BULKHEAD_CKR(CKR_PIN_INCORRECT)
    BULKHEAD_CKR(CKR_PIN_INVALID)
    BULKHEAD_CKR(CKR_PIN_LEN_RANGE)
    BULKHEAD_CKR(CKR_PIN_EXPIRED)
    BULKHEAD_CKR(CKR_PIN_LOCKED)
    BULKHEAD_CKR(CKR_SESSION_CLOSED)
    BULKHEAD_CKR(CKR_SESSION_COUNT)
    BULKHEAD_CKR(CKR_SESSION_HANDLE_INVALID)
    BULKHEAD_CKR(CKR_TOKEN_NOT_PRESENT)
    BULKHEAD_CKR(CKR_TOKEN_NOT_RECOGNIZED)
    BULKHEAD_CKR(CKR_USER_ALREADY_LOGGED_IN)
    BULKHEAD_CKR(CKR_USER_NOT_LOGGED_IN)
    BULKHEAD_CKR(CKR_USER_PIN_NOT_INITIALIZED)
    BULKHEAD_CKR(CKR_USER_TYPE_INVALID)
    BULKHEAD_CKR(CKR_BUFFER_TOO_SMALL)
    BULKHEAD_CKR(CKR_CRYPTOKI_NOT_INITIALIZED)
    BULKHEAD_CKR(CKR_CRYPTOKI_ALREADY_INITIALIZED)
#undef BULKHEAD_CKR
    default: return "PKCS#11 result " + std::to_string(result);
  }
}

Result<std::shared_ptr<Pkcs11Module>> Pkcs11Module::load(const std::filesystem::path& file) {
  // PKCS#11 itself is one for the whole process, so this register is too.
  static std::mutex mutex;
  static auto* loaded = new std::map<CK_FUNCTION_LIST*, std::weak_ptr<Pkcs11Module>>;
  std::lock_guard lock(mutex);
  BULKHEAD_CHECK_OK(check_file(file));
  void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) {
    const char* why = ::dlerror();
    return misconfigured(file, std::string(why ? why : "it can't be loaded"));
  }
  auto get_functions = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(handle, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (!get_functions || get_functions(&functions) != CKR_OK || !functions || functions->version.major < 2) {
    return misconfigured(file, "is no PKCS#11 library of version 2 or later; set `module` to one");
  }
  std::weak_ptr<Pkcs11Module>& slot = (*loaded)[functions];
  if (auto known = slot.lock()) return known;
  std::shared_ptr<Pkcs11Module> fresh(new Pkcs11Module);
  fresh->functions_ = functions;
  slot = fresh;
  return fresh;
}

Pkcs11Module::~Pkcs11Module() {
  if (initialised_ && ours_) functions_->C_Finalize(nullptr);
}

Result<void> Pkcs11Module::initialise() {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;  // many threads, with the system's own locks
  const CK_RV result = functions_->C_Initialize(&arguments);
  if (result == CKR_CANT_LOCK || result == CKR_NEED_TO_CREATE_THREADS) {
    return Error(KeyProviderError::Misconfigured, "The PKCS#11 module can't be used.",
                 "C_Initialize: " + pkcs11_result_name(result) + ": it can't be used by several threads");
  }
  if (result != CKR_OK && result != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    return Error(KeyProviderError::Unavailable, "The PKCS#11 module does not start. Try again later.",
                 "C_Initialize: " + pkcs11_result_name(result));
  }
  initialised_ = true;
  ours_ = result == CKR_OK;
  return {};
}

Result<Pkcs11Module::InUse> Pkcs11Module::use() {
  while (true) {
    InUse held(life_);
    if (initialised_) return held;
    held.unlock();
    std::unique_lock alone(life_);
    if (!initialised_) BULKHEAD_CHECK_OK(initialise());
  }
}

void Pkcs11Module::look_again() {
  std::unique_lock alone(life_, std::try_to_lock);
  if (!alone || !initialised_) return;
  if (ours_) functions_->C_Finalize(nullptr);
  initialised_ = false;
}

std::optional<CK_SLOT_ID> Pkcs11Module::known_slot(const std::string& name) {
  std::lock_guard lock(tokens_mutex_);
  auto found = known_slots_.find(name);
  return found == known_slots_.end() ? std::nullopt : std::optional(found->second);
}

void Pkcs11Module::note_slot(const std::string& name, CK_SLOT_ID slot) {
  std::lock_guard lock(tokens_mutex_);
  known_slots_.insert_or_assign(name, slot);
}

Pkcs11Module::Token& Pkcs11Module::token(CK_SLOT_ID slot) {
  std::lock_guard lock(tokens_mutex_);
  std::unique_ptr<Token>& found = tokens_[slot];
  if (!found) found = std::make_unique<Token>();
  return *found;
}

}  // namespace bulkhead::crypto
