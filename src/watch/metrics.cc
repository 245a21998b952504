#include "watch/metrics.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace bulkhead::watch {

namespace {

// Series of one family; beyond, all further label sets share one called "other".
constexpr std::size_t kSeriesMax = 5'000;

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void append_labels(const Labels& labels, std::string& out) {
  bool first = true;
  for (const auto& [name, value] : labels) {
    if (!std::exchange(first, false)) out += ',';
    out += name;
    out += "=\"";
    if (value.find_first_of("\\\"\n") == std::string_view::npos) {
      out += value;
    } else {
      out += escaped(value);
    }
    out += '"';
  }
}

std::string label_text(const Labels& labels) {
  std::string out;
  append_labels(labels, out);
  return out;
}

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string series(std::string_view name, std::string_view labels) {
  return std::string(name) + (labels.empty() ? "" : "{" + std::string(labels) + "}");
}

enum class Kind { Counter, Gauge, Histogram };

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::Counter: return "counter";
    case Kind::Gauge: return "gauge";
    case Kind::Histogram: return "histogram";
  }
  return "untyped";
}

struct Family {
  Kind kind = Kind::Counter;
  std::string help;
  std::map<std::string, std::unique_ptr<Counter>> counters;
  std::map<std::string, std::unique_ptr<Histogram>> histograms;
  std::map<std::string, std::function<double()>> gauges;
};

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      buckets_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::observe(double value) {
  auto index =
      static_cast<std::size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  buckets_[index].fetch_add(1, std::memory_order_relaxed);
  sum_micros_.fetch_add(static_cast<std::uint64_t>(std::max(0.0, value) * 1e6), std::memory_order_relaxed);
}

std::uint64_t Histogram::bucket(std::size_t index) const {
  return buckets_[index].load(std::memory_order_relaxed);
}
double Histogram::sum() const {
  return static_cast<double>(sum_micros_.load(std::memory_order_relaxed)) / 1e6;
}

struct Metrics::Impl {
  mutable std::shared_mutex mutex;
  std::map<std::string, Family, std::less<>> families;

  Family& family(std::string_view name, std::string_view help, Kind kind) {
    auto [it, made] = families.try_emplace(std::string(name));
    if (made) {
      it->second.kind = kind;
      it->second.help = help;
    }
    return it->second;
  }

  // The object for these labels, made when it isn't there yet.
  template <typename T, typename Make>
  T& find_or_make(std::string_view name, std::string_view help, Kind kind, const Labels& labels,
                  std::map<std::string, std::unique_ptr<T>> Family::* series_of, Make make) {
    // Reused: looking up what is there allocates nothing. Labels hold nothing of a user's.
    thread_local std::string key;
    key.clear();
    append_labels(labels, key);
    {
      std::shared_lock lock(mutex);
      if (auto found = families.find(name); found != families.end()) {
        auto& list = found->second.*series_of;
        if (auto one = list.find(key); one != list.end()) return *one->second;
      }
    }
    std::unique_lock lock(mutex);
    auto& list = family(name, help, kind).*series_of;
    if (list.size() >= kSeriesMax) key = "series=\"other\"";
    auto& slot = list[key];
    if (!slot) slot = make();
    return *slot;
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return impl_->find_or_make<Counter>(name, help, Kind::Counter, labels, &Family::counters,
                                      [] { return std::make_unique<Counter>(); });
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                              const Labels& labels) {
  return impl_->find_or_make<Histogram>(name, help, Kind::Histogram, labels, &Family::histograms,
                                        [&bounds] { return std::make_unique<Histogram>(bounds); });
}

void Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels,
                    std::function<double()> read) {
  std::unique_lock lock(impl_->mutex);
  impl_->family(name, help, Kind::Gauge).gauges[label_text(labels)] = std::move(read);
}

std::string Metrics::render() const {
  std::shared_lock lock(impl_->mutex);
  std::string out;
  for (const auto& [name, family] : impl_->families) {
    out += "# HELP " + name + " " + family.help + "\n# TYPE " + name + " " + kind_name(family.kind) + "\n";
    for (const auto& [labels, counter] : family.counters) {
      out += series(name, labels) + " " + std::to_string(counter->value()) + "\n";
    }
    for (const auto& [labels, read] : family.gauges)
      out += series(name, labels) + " " + number(read()) + "\n";
    for (const auto& [labels, histogram] : family.histograms) {
      std::uint64_t total = 0;
      std::string before = labels.empty() ? "" : labels + ",";
      for (std::size_t i = 0; i <= histogram->bounds().size(); ++i) {
        total += histogram->bucket(i);
        std::string bound = i < histogram->bounds().size() ? number(histogram->bounds()[i]) : "+Inf";
        out += series(name + "_bucket", before + "le=\"" + bound + "\"") + " " + std::to_string(total) + "\n";
      }
      out += series(name + "_sum", labels) + " " + number(histogram->sum()) + "\n";
      out += series(name + "_count", labels) + " " + std::to_string(total) + "\n";
    }
  }
  return out;
}

}  // namespace bulkhead::watch
