#include <cstdio>

#include "apps/posture_page.h"

namespace bulkhead::apps {

using base::json::Value;

namespace {

constexpr std::size_t kLayerWidth = 10;
constexpr std::size_t kVerdictWidth = 7;

// Control characters of a name must not steer the terminal.
std::string plain(const Value& value) {
  std::string text(value.as_string().value_or(""));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::uint64_t number(const Value& value) { return static_cast<std::uint64_t>(value.as_int().value_or(0)); }

std::string cost_line(const Value& cost) {
  return "  costs      " + std::to_string(number(cost["processes"])) +
         (number(cost["processes"]) == 1 ? " process, " : " processes, ") +
         human_bytes(number(cost["resident_bytes"])) + " resident, " +
         human_bytes(number(cost["storage_bytes"])) + " stored, " + human_bytes(number(cost["index_bytes"])) +
         " of index\n";
}

std::string walls_lines(const Value& walls) {
  const std::string indent(2 + kLayerWidth + 1 + kVerdictWidth + 1, ' ');
  std::string out;
  for (std::size_t i = 0; i < walls.size(); ++i) {
    const Value wall = walls.at(i);
    std::string verdict = plain(wall["verdict"]);
    const bool broken = verdict == "broken";
    if (broken) verdict = "BROKEN";
    out += "  " + padded(plain(wall["layer"]), kLayerWidth) + " " + padded(verdict, kVerdictWidth) + " " +
           plain(wall["wall"]) + "\n" + indent + plain(wall["check"]) + "\n";
    if (broken) out += indent + "-> " + plain(wall["remedy"]) + "\n";
  }
  return out;
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(kUnits)) {
    size /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", size, kUnits[unit]);
  return text;
}

std::string posture_table(const Value& report) {
  std::string out = "posture at " + plain(report["checked_at"]) + "\n\nplatform\n";
  out += walls_lines(report["platform"]["walls"]) + cost_line(report["platform"]["cost"]);
  const Value tenants = report["tenants"];
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    const Value tenant = tenants.at(i);
    out += "\n" + plain(tenant["id"]) + "  " + plain(tenant["mode"]) + ", " + plain(tenant["state"]) +
           "  \"" + plain(tenant["display_name"]) + "\"  " + plain(tenant["store"]) + "\n";
    out += walls_lines(tenant["walls"]) + cost_line(tenant["cost"]);
  }
  const std::uint64_t broken = number(report["broken"]);
  out += broken == 0 ? "\nno wall is broken\n" : "\n" + std::to_string(broken) + " walls do not stand\n";
  return out;
}

}  // namespace bulkhead::apps
