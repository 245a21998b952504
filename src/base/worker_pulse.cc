#include "base/worker_pulse.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

namespace bulkhead::base {

namespace {

constexpr std::chrono::milliseconds kLookMax{1'000};

enum class PulseError { NoMemory };
ErrorName error_name(PulseError) { return {"base", "pulse_page"}; }

Error failed(const char* what) {
  return Error(PulseError::NoMemory, "The page shared with a worker could not be made.",
               std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

void LoopPulse::at_request(std::string_view id) {
  if (!loop_) return;
  std::array<char, PulsePage::kRequestWords * sizeof(std::uint64_t)> bytes{};
  std::copy_n(id.begin(), std::min(id.size(), bytes.size()), bytes.begin());
  for (std::size_t i = 0; i < PulsePage::kRequestWords; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
    loop_->request[i].store(word);
  }
}

Result<std::unique_ptr<PulseMemory>> PulseMemory::make(int& descriptor) {
  descriptor = ::memfd_create("bulkhead-pulse", MFD_CLOEXEC);
  if (descriptor < 0) return failed("memfd_create");
  void* memory = MAP_FAILED;
  if (::ftruncate(descriptor, sizeof(PulsePage)) == 0) {
    memory = ::mmap(nullptr, sizeof(PulsePage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  if (memory == MAP_FAILED) {
    Error error = failed("mmap");
    ::close(descriptor);
    descriptor = -1;
    return error;
  }
  return std::unique_ptr<PulseMemory>(new PulseMemory(new (memory) PulsePage));
}

Result<std::unique_ptr<PulseMemory>> PulseMemory::open(int descriptor) {
  void* memory = ::mmap(nullptr, sizeof(PulsePage), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  if (memory == MAP_FAILED) return failed("mmap");
  return std::unique_ptr<PulseMemory>(new PulseMemory(static_cast<PulsePage*>(memory)));
}

PulseMemory::~PulseMemory() { ::munmap(page_, sizeof(PulsePage)); }

std::vector<std::string> requests_of(const PulsePage& page) {
  std::vector<std::string> out;
  for (const PulsePage::Loop& loop : page.loops) {
    std::array<char, PulsePage::kRequestWords * sizeof(std::uint64_t)> bytes{};
    for (std::size_t i = 0; i < PulsePage::kRequestWords; ++i) {
      const std::uint64_t word = loop.request[i].load();
      std::memcpy(bytes.data() + i * sizeof word, &word, sizeof word);
    }
    std::string id(bytes.begin(), std::find(bytes.begin(), bytes.end(), '\0'));
    if (!id.empty() && std::find(out.begin(), out.end(), id) == out.end()) out.push_back(std::move(id));
  }
  return out;
}

std::optional<std::string> PulseWatch::look(const PulsePage& page, std::chrono::milliseconds elapsed) {
  elapsed = std::min(elapsed, kLookMax);
  auto stalls = [&](Seen& seen, std::uint64_t beats, bool busy) {
    seen.silent = busy && beats == seen.beats ? seen.silent + elapsed : std::chrono::milliseconds(0);
    seen.beats = beats;
    return seen.silent >= stall_max_;
  };
  std::optional<std::string> stalled;
  for (std::size_t i = 0; i < page.loops.size(); ++i) {
    const PulsePage::Loop& loop = page.loops[i];
    if (stalls(loops_[i], loop.beats.load(), loop.busy.load() != 0)) stalled = "loop " + std::to_string(i);
  }
  if (stalls(process_, page.ticks.load(), true)) stalled = "process";
  return stalled;
}

}  // namespace bulkhead::base
