#include "engine/process_probe.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace bulkhead::engine {

namespace {

namespace fs = std::filesystem;

// Of /proc/PID/status and /proc/PID/limits, which the kernel writes.
std::vector<std::string> lines_of(const fs::path& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
  return lines;
}

std::uint64_t number_after(const std::string& line, std::size_t at) {
  std::istringstream text(line.substr(std::min(at, line.size())));
  std::uint64_t number = 0;
  text >> number;
  return number;
}

void read_status(const fs::path& folder, ProcessFacts& out) {
  constexpr std::uint64_t kKibibyte = 1024;
  for (const std::string& line : lines_of(folder / "status")) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, colon);
    if (name == "State") out.running = line.find('Z', colon) == std::string::npos;
    const std::uint64_t number = number_after(line, colon + 1);
    if (name == "Seccomp") out.seccomp_mode = static_cast<int>(number);
    if (name == "NoNewPrivs") out.no_new_privileges = number == 1;
    if (name == "VmRSS") out.resident_bytes = number * kKibibyte;
    if (name == "VmSwap") out.swapped_bytes = number * kKibibyte;
  }
}

void read_limits(const fs::path& folder, ProcessFacts& out) {
  constexpr std::string_view kCore = "Max core file size";
  for (const std::string& line : lines_of(folder / "limits")) {
    if (!line.starts_with(kCore)) continue;
    const bool unlimited = line.find("unlimited") < line.find("bytes");
    out.core_bytes_max =
        unlimited ? std::numeric_limits<std::uint64_t>::max() : number_after(line, kCore.size());
  }
}

// Inodes of the Unix sockets in the process's own network namespace.
std::set<std::uint64_t> unix_sockets(const fs::path& folder) {
  constexpr int kInodeColumn = 6;
  std::set<std::uint64_t> inodes;
  for (const std::string& line : lines_of(folder / "net/unix")) {
    std::istringstream columns(line);
    std::string column;
    for (int i = 0; i <= kInodeColumn; ++i) columns >> column;
    inodes.insert(number_after(column, 0));
  }
  return inodes;
}

void read_sockets(const fs::path& folder, ProcessFacts& out) {
  constexpr std::string_view kSocket = "socket:[";
  std::error_code failed;
  fs::directory_iterator each(folder / "fd", failed);
  if (failed) {
    out.closed = true;
    return;
  }
  std::vector<std::uint64_t> held;
  for (; each != fs::directory_iterator(); each.increment(failed)) {
    if (failed) break;
    const std::string target = fs::read_symlink(each->path(), failed).string();
    if (target.starts_with(kSocket)) held.push_back(number_after(target, kSocket.size()));
  }
  // After the descriptors: a connection that was accepted meanwhile is not taken for another kind.
  const std::set<std::uint64_t> local = unix_sockets(folder);
  out.sockets = held.size();
  for (std::uint64_t inode : held) out.network_sockets += local.contains(inode) ? 0 : 1;
}

}  // namespace

ProcessFacts probe_process(int pid) {
  ProcessFacts facts;
  if (pid <= 0) return facts;
  const fs::path folder = fs::path("/proc") / std::to_string(pid);
  read_status(folder, facts);
  if (!facts.running) return facts;
  read_limits(folder, facts);
  read_sockets(folder, facts);
  return facts;
}

}  // namespace bulkhead::engine
