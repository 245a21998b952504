// Linked into every program of the ThreadSanitizer build: the sandboxed ones are given no environment that
// could name a file of suppressions.
//
// SoftHSM 2: C_GetTokenInfo calls gmtime from several threads, although it was told that there are some
// (CKF_OS_LOCKING_OK), and its globals are destroyed at exit while the thread of a call that hung still holds
// their mutexes. ggml: built without instrumentation, so that the barriers of its thread pool can't be seen.
// Only unit tests need it (acceptance.sh).
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:libsofthsm2.so\n"
         "mutex:libsofthsm2.so\n"
         "race:ggml_\n";
}
