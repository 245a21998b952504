#include "rag/extraction_report.h"

#include <algorithm>
#include <array>

namespace bulkhead::rag {

namespace json = base::json;

namespace {

constexpr std::array<std::string_view, 8> kLeftOut = {
    "hidden_text",         "page_without_text", "page_too_large", "page_out_of_time",
    "page_not_recognised", "picture",           "attachment",     "ambiguous_sign"};
constexpr std::size_t kPagesMax = 10'000;
constexpr std::size_t kPagesShown = 100;

std::optional<std::uint32_t> page_number(json::Value value) {
  const auto number = value.as_int();
  if (!number || *number < 0 || *number > 1'000'000) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

bool read_recognised(json::Value list, ExtractionReport& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto page = page_number(list.at(i)["page"]);
    const auto confidence = list.at(i)["confidence"].as_int();
    if (!page || !confidence || *confidence < 0 || *confidence > 100) return false;
    out.recognised.push_back({*page, static_cast<int>(*confidence)});
  }
  return true;
}

bool read_left_out(json::Value list, ExtractionReport& out) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const json::Value part = list.at(i);
    const auto what = part["what"].as_string();
    const auto count = part["count"].as_int();
    const json::Value pages = part["pages"];
    const bool known = what && std::find(kLeftOut.begin(), kLeftOut.end(), *what) != kLeftOut.end();
    if (!known || !count || *count < 0 || !pages.is_array() || pages.size() > kPagesMax) return false;
    ExtractionReport::LeftOut one{.what = std::string(*what), .count = static_cast<std::uint64_t>(*count)};
    for (std::size_t j = 0; j < pages.size(); ++j) {
      const auto page = page_number(pages.at(j));
      if (!page) return false;
      one.pages.push_back(*page);
    }
    out.left_out.push_back(std::move(one));
  }
  return true;
}

}  // namespace

std::optional<ExtractionReport> ExtractionReport::parse(json::Value value) {
  ExtractionReport out;
  if (!value.exists()) return out;
  const auto pages = page_number(value["pages"]);
  const json::Value recognised = value["recognised"], left_out = value["left_out"];
  if (!pages || !recognised.is_array() || !left_out.is_array()) return std::nullopt;
  if (recognised.size() > kPagesMax || left_out.size() > kLeftOut.size()) return std::nullopt;
  out.pages = *pages;
  if (!read_recognised(recognised, out) || !read_left_out(left_out, out)) return std::nullopt;
  return out;
}

std::string ExtractionReport::to_json(std::string_view type, std::uint64_t characters) const {
  json::Writer w;
  w.begin_object().member("type", type).member("characters", characters);
  w.member("pages", static_cast<std::uint64_t>(pages));
  w.key("recognised").begin_object().member("pages", static_cast<std::uint64_t>(recognised.size()));
  if (!recognised.empty()) {
    std::int64_t sum = 0;
    for (const Recognised& page : recognised) sum += page.confidence;
    w.member("confidence", sum / static_cast<std::int64_t>(recognised.size()));
    w.key("by_page").begin_array();
    for (std::size_t i = 0; i < std::min(recognised.size(), kPagesShown); ++i) {
      w.begin_object().member("page", static_cast<std::uint64_t>(recognised[i].page));
      w.member("confidence", recognised[i].confidence).end_object();
    }
    w.end_array();
  }
  w.end_object().key("left_out").begin_array();
  for (const LeftOut& part : left_out) {
    w.begin_object().member("what", part.what).member("count", part.count).key("pages").begin_array();
    for (std::size_t i = 0; i < std::min(part.pages.size(), kPagesShown); ++i) {
      w.value(static_cast<std::uint64_t>(part.pages[i]));
    }
    w.end_array().end_object();
  }
  w.end_array().end_object();
  return w.take();
}

}  // namespace bulkhead::rag
