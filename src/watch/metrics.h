// Counters, gauges and histograms in Prometheus text form (exposition format 0.0.4). Names follow
// Prometheus' conventions, GenAI ones OpenTelemetry's semantic conventions. Labels come from fixed
// sets or tenant ids; never user input. Series per family are bounded; beyond, "other".
//
// Thread safety: all. Hot-path increments are relaxed atomics on a handle fetched once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::watch {

class Counter {
 public:
  void add(std::uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);
  const std::vector<double>& bounds() const { return bounds_; }
  std::uint64_t bucket(std::size_t index) const;  // not cumulative; last one is +Inf
  double sum() const;

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<std::uint64_t> sum_micros_{0};
};

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Metrics {
 public:
  Metrics();
  ~Metrics();
  // The same name and labels give the same object; it lives as long as the registry. Cheap enough for
  // every request once the object is there.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const Labels& labels = {});
  // A value read at scrape time.
  void gauge(std::string_view name, std::string_view help, const Labels& labels,
             std::function<double()> read);
  std::string render() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::watch
