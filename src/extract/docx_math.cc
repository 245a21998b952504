#include "extract/docx_math.h"

#include <string_view>

#include "extract/script_text.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

constexpr int kDepthMax = 100;

std::string text_in(pugi::xml_node node, int depth);

// In brackets unless it is one letter, one number or in brackets already.
std::string grouped(const std::string& text) {
  bool plain = text.find_first_of(" +-=*/^_,;()\u00B7\u00D7\u2212") == std::string::npos;
  return plain ? text : "(" + text + ")";
}

std::string part(pugi::xml_node node, std::string_view name, int depth) {
  return text_in(child_of(node, name), depth + 1);
}

std::string raised(const std::string& base, const std::string& exponent) {
  if (exponent.empty()) return base;
  bool figures = exponent.find_first_not_of("0123456789+-") == std::string::npos;
  return base + (figures ? superscript(exponent) : "^" + grouped(exponent));
}

std::string lowered(const std::string& base, const std::string& index) {
  return index.empty() ? base : base + "_" + grouped(index);
}

// A sign that the element's properties may name: m:begChr, m:chr.
std::string sign(pugi::xml_node properties, std::string_view name, std::string_view usual) {
  pugi::xml_node one = child_of(properties, name);
  return std::string(one ? value_of(one) : usual);
}

// The texts of all children of one name, with a mark between.
std::string joined(pugi::xml_node node, std::string_view name, std::string_view mark, int depth) {
  std::string out;
  bool first = true;
  for (pugi::xml_node child : node.children()) {
    if (local_name(child) != name) continue;
    if (!first) out += mark;
    first = false;
    out += text_in(child, depth + 1);
  }
  return out;
}

std::string element_text(pugi::xml_node node, int depth) {
  std::string_view name = local_name(node);
  if (name == "t") return node.text().get();
  if (name == "f") {
    return grouped(part(node, "num", depth)) + "/" + grouped(part(node, "den", depth));
  }
  if (name == "sSup") return raised(part(node, "e", depth), part(node, "sup", depth));
  if (name == "sSub") return lowered(part(node, "e", depth), part(node, "sub", depth));
  if (name == "sSubSup" || name == "sPre") {
    return raised(lowered(part(node, "e", depth), part(node, "sub", depth)), part(node, "sup", depth));
  }
  if (name == "rad") {
    std::string degree = part(node, "deg", depth);
    return superscript(degree) + "\u221A(" + part(node, "e", depth) + ")";
  }
  if (name == "d") {
    pugi::xml_node properties = child_of(node, "dPr");
    return sign(properties, "begChr", "(") + joined(node, "e", sign(properties, "sepChr", "|"), depth) +
           sign(properties, "endChr", ")");
  }
  if (name == "nary") {
    std::string symbol = sign(child_of(node, "naryPr"), "chr", "\u222B");
    symbol = lowered(symbol, part(node, "sub", depth));
    return raised(symbol, part(node, "sup", depth)) + " " + part(node, "e", depth);
  }
  if (name == "func") return part(node, "fName", depth) + " " + grouped(part(node, "e", depth));
  if (name == "limLow") return lowered(part(node, "e", depth), part(node, "lim", depth));
  if (name == "limUpp") return raised(part(node, "e", depth), part(node, "lim", depth));
  if (name == "m") return "[" + joined(node, "mr", "; ", depth) + "]";
  if (name == "mr") return joined(node, "e", ", ", depth);
  if (name == "eqArr") return joined(node, "e", "; ", depth);
  if (name == "del" || name == "moveFrom" || name == "delText" || name == "instrText") return "";
  return text_in(node, depth + 1);
}

std::string text_in(pugi::xml_node node, int depth) {
  std::string out;
  if (depth > kDepthMax) return out;
  for (pugi::xml_node child : node.children()) out += element_text(child, depth);
  return out;
}

}  // namespace

std::string math_text(pugi::xml_node math) { return text_in(math, 0); }

}  // namespace bulkhead::extract
