#include "extract/html_style_value.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

namespace bulkhead::extract {

namespace {

constexpr std::array<std::string_view, 22> kTelling = {
    "display",    "visibility",     "opacity", "font-size",        "position",
    "left",       "right",          "top",     "bottom",           "clip",
    "clip-path",  "text-indent",    "height",  "max-height",       "width",
    "overflow",   "transform",      "color",   "background-color", "background",
    "list-style", "list-style-type"};

// Beyond it no screen reaches: pixels, and lengths relative to the type or the screen.
constexpr double kOffPixels = -500, kOffEms = -50, kOffPercent = -100;

std::string_view value_of(const StyleValues& values, std::string_view property) {
  auto found = values.find(property);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

struct Length {
  double number = 0;
  std::string unit;
};

std::optional<Length> length_of(std::string_view text) {
  std::string copy(text.substr(0, 40));
  char* end = nullptr;
  double number = std::strtod(copy.c_str(), &end);
  if (end == copy.c_str()) return std::nullopt;
  return Length{number, std::string(end)};
}

bool is_off_page(std::string_view value) {
  auto length = length_of(value);
  if (!length) return false;
  if (length->unit == "px" || length->unit == "pt") return length->number <= kOffPixels;
  if (length->unit == "em" || length->unit == "rem") return length->number <= kOffEms;
  return (length->unit == "%" || length->unit == "vw" || length->unit == "vh") &&
         length->number <= kOffPercent;
}

// The arguments of "name(a, b c)".
std::vector<std::string> arguments(std::string_view value, std::string_view name) {
  std::vector<std::string> out;
  if (!value.starts_with(name) || value.size() <= name.size() || value[name.size()] != '(') return out;
  std::string open;
  for (char c : value.substr(name.size() + 1)) {
    bool ends = c == ',' || c == ' ' || c == '/' || c == ')';
    if (!ends) {
      open += c;
    } else if (!open.empty()) {
      out.push_back(std::move(open));
      open.clear();
    }
    if (c == ')') break;
  }
  return out;
}

double number_of(const std::string& text) {
  auto length = length_of(text);
  return length ? length->number : 0;
}

// rect(top, right, bottom, left) of a point, by which text is left to screen readers.
bool clips_all(const StyleValues& values) {
  auto rect = arguments(value_of(values, "clip"), "rect");
  if (rect.size() == 4 && std::find(rect.begin(), rect.end(), "auto") == rect.end() &&
      number_of(rect[1]) - number_of(rect[3]) <= 1 && number_of(rect[2]) - number_of(rect[0]) <= 1) {
    return true;
  }
  auto inset = arguments(value_of(values, "clip-path"), "inset");
  if (inset.size() == 1 && inset[0].ends_with('%') && number_of(inset[0]) >= 50) return true;
  auto circle = arguments(value_of(values, "clip-path"), "circle");
  return !circle.empty() && is_zero(circle[0]);
}

bool is_shrunk_away(const StyleValues& values) {
  std::string_view overflow = value_of(values, "overflow");
  bool cuts = overflow.starts_with("hidden") || overflow.starts_with("clip");
  if (cuts && (is_zero(value_of(values, "height")) || is_zero(value_of(values, "max-height")) ||
               is_zero(value_of(values, "width")))) {
    return true;
  }
  for (std::string_view name : {"scale", "scalex", "scaley", "scale3d"}) {
    auto factors = arguments(value_of(values, "transform"), name);
    if (!factors.empty() && is_zero(factors[0])) return true;
  }
  return false;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kNames = {{{"white", "#ffffff"},
                                                                                   {"black", "#000000"},
                                                                                   {"red", "#ff0000"},
                                                                                   {"yellow", "#ffff00"},
                                                                                   {"snow", "#fffafa"},
                                                                                   {"ivory", "#fffff0"},
                                                                                   {"blue", "#0000ff"},
                                                                                   {"gray", "#808080"},
                                                                                   {"silver", "#c0c0c0"},
                                                                                   {"green", "#008000"}}};

std::string hexadecimal(std::string_view digits) {
  std::string full;
  if (digits.size() == 3 || digits.size() == 4) {
    for (char c : digits) full.append(2, c);
  } else if (digits.size() == 6 || digits.size() == 8) {
    full = digits;
  }
  if (full.size() == 8 && full.ends_with("00")) return "transparent";
  return full.empty() ? full : "#" + full.substr(0, 6);
}

std::string from_channels(const std::vector<std::string>& channels) {
  if (channels.size() == 4 && number_of(channels[3]) == 0) return "transparent";
  if (channels.size() < 3) return "";
  std::string out = "#";
  for (std::size_t i = 0; i < 3; ++i) {
    double number = number_of(channels[i]) * (channels[i].ends_with('%') ? 2.55 : 1);
    std::array<char, 4> hex;
    std::snprintf(hex.data(), hex.size(), "%02x", static_cast<unsigned>(std::clamp(number, 0.0, 255.0)));
    out += hex.data();
  }
  return out;
}

}  // namespace

bool is_telling_property(std::string_view property) {
  return std::find(kTelling.begin(), kTelling.end(), property) != kTelling.end() ||
         property.ends_with("background-clip");
}

bool takes_out_of_sight(const StyleValues& values) {
  if (value_of(values, "display") == "none" || is_zero(value_of(values, "opacity"))) return true;
  if (clips_all(values) || is_shrunk_away(values) || is_off_page(value_of(values, "text-indent")))
    return true;
  std::string_view position = value_of(values, "position");
  if (position != "absolute" && position != "fixed") return false;
  return std::any_of(kTelling.begin() + 5, kTelling.begin() + 9,
                     [&values](std::string_view side) { return is_off_page(value_of(values, side)); });
}

bool is_zero(std::string_view value) {
  auto length = length_of(value);
  return length && length->number == 0;
}

bool is_absolute_size(std::string_view value) {
  auto length = length_of(value);
  if (length)
    return length->number > 0 && length->unit != "em" && length->unit != "%" && length->unit != "ex";
  return value == "small" || value == "medium" || value == "large" || value.ends_with("-small") ||
         value.ends_with("-large") || value == "initial";
}

std::string normal_color(std::string_view value) {
  if (value.starts_with('#')) return hexadecimal(value.substr(1));
  if (value.starts_with("rgb")) {
    return from_channels(arguments(value, value.starts_with("rgba") ? "rgba" : "rgb"));
  }
  if (value.find_first_of(" (,") != std::string_view::npos) return "";
  const auto* found =
      std::find_if(kNames.begin(), kNames.end(), [value](const auto& name) { return name.first == value; });
  return std::string(found == kNames.end() ? value : found->second);
}

}  // namespace bulkhead::extract
