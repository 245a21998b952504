#include "base/burn_report.h"

#include <algorithm>
#include <array>

namespace bulkhead::base {

namespace {

constexpr std::size_t kEntriesMax = 32;

constexpr std::array kFates = {"nothing_kept",   "zeroed",  "forgotten", "unreachable", "kept_for_reuse",
                               "not_erased_yet", "unknown", "skipped",   "failed"};
constexpr std::array kReuses = {"none", "session", "tenant", "unknown"};
constexpr std::array kMemories = {"kv_rows", "prefix_rows", "compute", "work", "output", "batch", "objects"};
constexpr std::array kMethods = {"zeroed", "freed"};

template <typename Enum, std::size_t N>
std::optional<Enum> read_name(const json::Value& value, const std::array<const char*, N>& names) {
  auto text = value.as_string();
  if (!text) return std::nullopt;
  auto found = std::find(names.begin(), names.end(), *text);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

bool read_count(const json::Value& value, std::uint64_t& out) {
  auto number = value.as_int();
  if (!number || *number < 0) return false;
  out = static_cast<std::uint64_t>(*number);
  return true;
}

std::optional<ClearedMemory> read_entry(const json::Value& value) {
  ClearedMemory out;
  auto memory = read_name<Memory>(value["memory"], kMemories);
  auto method = read_name<ClearMethod>(value["method"], kMethods);
  if (!memory || !method) return std::nullopt;
  out.memory = *memory;
  out.method = *method;
  bool whole = out.method == ClearMethod::Freed
                   ? read_count(value["objects"], out.objects)
                   : read_count(value["bytes"], out.bytes) && read_count(value["read_back"], out.read_back) &&
                         read_count(value["nonzero"], out.nonzero);
  if (!whole || out.read_back > out.bytes || out.nonzero > out.read_back) return std::nullopt;
  return out;
}

}  // namespace

std::string_view fate_name(RowsFate fate) { return kFates.at(static_cast<std::size_t>(fate)); }
std::string_view reuse_name(RowsReuse reuse) { return kReuses.at(static_cast<std::size_t>(reuse)); }
std::string_view memory_name(Memory memory) { return kMemories.at(static_cast<std::size_t>(memory)); }

bool BurnReport::verified() const {
  const bool zeroed = rows == RowsFate::Zeroed && (find(Memory::KvRows) || find(Memory::PrefixRows));
  if (!zeroed && rows != RowsFate::NothingKept) return false;
  return std::all_of(cleared.begin(), cleared.end(), [](const auto& entry) { return entry.proven(); });
}

const ClearedMemory* BurnReport::find(Memory memory) const {
  auto found = std::find_if(cleared.begin(), cleared.end(),
                            [memory](const ClearedMemory& entry) { return entry.memory == memory; });
  return found == cleared.end() ? nullptr : &*found;
}

void BurnReport::add(ClearedMemory more) {
  for (ClearedMemory& entry : cleared) {
    if (entry.memory != more.memory || entry.method != more.method) continue;
    entry.bytes += more.bytes;
    entry.read_back += more.read_back;
    entry.nonzero += more.nonzero;
    entry.objects += more.objects;
    return;
  }
  cleared.push_back(more);
}

void BurnReport::add(const BurnReport& more) {
  // A sum begins as an empty report, which knows of no allocator and no rows.
  const bool first = cleared.empty() && micros == 0 && tokens_erased == 0;
  heap_wiped_on_free = more.heap_wiped_on_free && (first || heap_wiped_on_free);
  rows = first ? more.rows : std::max(rows, more.rows);
  if (engine.empty()) engine = more.engine;
  reuse = first ? more.reuse : std::max(reuse, more.reuse);
  reuse_seconds = std::max(reuse_seconds, more.reuse_seconds);
  for (const ClearedMemory& entry : more.cleared) add(entry);
  cache_reset = cache_reset || more.cache_reset;
  prefixes += more.prefixes;
  tokens_erased += more.tokens_erased;
  tokens_kept += more.tokens_kept;
  micros += more.micros;
}

void write(json::Writer& w, const BurnReport& report) {
  w.begin_object()
      .member("engine", report.engine)
      .member("verified", report.verified())
      .member("rows", fate_name(report.rows));
  w.key("reuse").begin_object().member("by", reuse_name(report.reuse));
  w.member("seconds", report.reuse_seconds).end_object();
  w.key("cleared").begin_array();
  for (const ClearedMemory& entry : report.cleared) {
    w.begin_object().member("memory", memory_name(entry.memory));
    w.member("method", kMethods.at(static_cast<std::size_t>(entry.method)));
    if (entry.method == ClearMethod::Freed) {
      w.member("objects", entry.objects);
    } else {
      w.member("bytes", entry.bytes).member("read_back", entry.read_back).member("nonzero", entry.nonzero);
    }
    w.end_object();
  }
  w.end_array()
      .member("heap_wiped_on_free", report.heap_wiped_on_free)
      .member("cache_reset", report.cache_reset)
      .member("prefixes", report.prefixes)
      .member("tokens_erased", report.tokens_erased)
      .member("tokens_kept", report.tokens_kept)
      .member("micros", report.micros)
      .end_object();
}

std::optional<BurnReport> read_burn_report(const json::Value& value) {
  if (!value.is_object() || !value["cleared"].is_array() || value["cleared"].size() > kEntriesMax) {
    return std::nullopt;
  }
  BurnReport out;
  auto engine = value["engine"].as_string();
  auto rows = read_name<RowsFate>(value["rows"], kFates);
  auto reuse = read_name<RowsReuse>(value["reuse"]["by"], kReuses);
  auto wiped = value["heap_wiped_on_free"].as_bool(), reset = value["cache_reset"].as_bool();
  if (!engine || !rows || !reuse || !wiped || !reset) return std::nullopt;
  out.engine = std::string(*engine);
  out.rows = *rows;
  out.reuse = *reuse;
  out.heap_wiped_on_free = *wiped;
  out.cache_reset = *reset;
  if (!read_count(value["reuse"]["seconds"], out.reuse_seconds) ||
      !read_count(value["prefixes"], out.prefixes) ||
      !read_count(value["tokens_erased"], out.tokens_erased) ||
      !read_count(value["tokens_kept"], out.tokens_kept) || !read_count(value["micros"], out.micros)) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < value["cleared"].size(); ++i) {
    auto entry = read_entry(value["cleared"].at(i));
    if (!entry) return std::nullopt;
    out.add(*entry);
  }
  // The sender's own word must be what its figures say.
  if (value["verified"].as_bool() != out.verified()) return std::nullopt;
  return out;
}

}  // namespace bulkhead::base
