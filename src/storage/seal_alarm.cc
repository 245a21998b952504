#include "storage/seal_alarm.h"

#include <mutex>

namespace bulkhead::storage {

namespace {

struct Listener {
  std::mutex mutex;
  SealAlarm alarm;
};

Listener& listener() {
  static Listener one;
  return one;
}

}  // namespace

void set_seal_alarm(SealAlarm alarm) {
  std::scoped_lock lock(listener().mutex);
  listener().alarm = std::move(alarm);
}

// Under the lock, so that nobody is told after the listener was switched off.
void raise_seal_alarm(std::string_view tenant, std::string_view record) {
  std::scoped_lock lock(listener().mutex);
  if (listener().alarm) listener().alarm(tenant, record);
}

}  // namespace bulkhead::storage
