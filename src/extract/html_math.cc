#include "extract/html_math.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "extract/html_tree.h"
#include "extract/script_text.h"

namespace bulkhead::extract {

namespace {

constexpr int kDepthMax = 100;

std::string text_of(const GumboNode* node, int depth);

std::string name_of(const GumboElement& element) {
  GumboStringPiece piece = element.original_tag;
  gumbo_tag_from_original_text(&piece);
  return piece.data ? std::string(piece.data, piece.length) : std::string();
}

std::string trimmed(const std::string& text) {
  std::size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

// In brackets unless it is one letter, one number or in brackets already.
std::string grouped(const std::string& text) {
  bool plain = text.find_first_of(" +-=*/^_,;()\u00B7\u00D7\u2212") == std::string::npos;
  return plain ? text : "(" + text + ")";
}

std::string raised(const std::string& base, const std::string& exponent) {
  if (exponent.empty()) return base;
  std::string figures = exponent;
  for (std::size_t at = figures.find("\u2212"); at != std::string::npos; at = figures.find("\u2212"))
    figures.replace(at, std::string_view("\u2212").size(), "-");
  bool is_figures = figures.find_first_not_of("0123456789+-") == std::string::npos;
  return base + (is_figures ? superscript(figures) : "^" + grouped(exponent));
}

std::string lowered(const std::string& base, const std::string& index) {
  return index.empty() ? base : base + "_" + grouped(index);
}

std::vector<std::string> parts_of(const GumboNode* node, int depth) {
  std::vector<std::string> parts;
  const GumboVector* children = children_of(node);
  for (unsigned i = 0; children && i < children->length; ++i) {
    const auto* child = static_cast<const GumboNode*>(children->data[i]);
    if (child->type == GUMBO_NODE_ELEMENT || child->type == GUMBO_NODE_TEMPLATE)
      parts.push_back(text_of(child, depth + 1));
  }
  return parts;
}

std::string joined(const std::vector<std::string>& parts, std::string_view mark) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += mark;
    out += part;
  }
  return out;
}

constexpr std::array<std::string_view, 13> kStructures = {
    "mtable", "mtr",  "mlabeledtr", "msqrt",   "mfenced",    "mfrac", "msup",
    "mover",  "msub", "munder",     "msubsup", "munderover", "mroot"};

std::string structure_text(const std::string& name, std::vector<std::string> parts) {
  if (name == "mtable") return "[" + joined(parts, "; ") + "]";
  if (name == "mtr" || name == "mlabeledtr") return joined(parts, ", ");
  if (name == "msqrt") return "\u221A(" + joined(parts, "") + ")";
  if (name == "mfenced") return "(" + joined(parts, ",") + ")";
  parts.resize(std::max<std::size_t>(parts.size(), 3));
  if (name == "mfrac") return grouped(parts[0]) + "/" + grouped(parts[1]);
  if (name == "msup" || name == "mover") return raised(parts[0], parts[1]);
  if (name == "msub" || name == "munder") return lowered(parts[0], parts[1]);
  if (name == "mroot") return superscript(parts[1]) + "\u221A(" + parts[0] + ")";
  return raised(lowered(parts[0], parts[1]), parts[2]);
}

std::string element_text(const GumboNode* node, int depth) {
  const std::string name = name_of(node->v.element);
  if (name.starts_with("annotation") || name == "mphantom" || name == "none") return "";
  if (name == "mspace") return " ";
  if (std::find(kStructures.begin(), kStructures.end(), name) != kStructures.end())
    return structure_text(name, parts_of(node, depth));
  // Read once only: what stands inside would otherwise be read twice at each level.
  std::string out;
  const GumboVector& children = node->v.element.children;
  for (unsigned i = 0; i < children.length; ++i)
    out += text_of(static_cast<const GumboNode*>(children.data[i]), depth + 1);
  bool is_token = name == "mi" || name == "mn" || name == "mo";
  return is_token ? trimmed(out) : out;
}

std::string text_of(const GumboNode* node, int depth) {
  if (depth > kDepthMax) return "";
  if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA) return node->v.text.text;
  return node->type == GUMBO_NODE_ELEMENT ? element_text(node, depth) : "";
}

}  // namespace

std::string page_math_text(const GumboNode* math) { return trimmed(element_text(math, 0)); }

}  // namespace bulkhead::extract
