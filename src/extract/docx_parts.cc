#include "extract/docx_parts.h"

#include <algorithm>

#include "extract/docx_xml.h"

namespace bulkhead::extract {

namespace {

constexpr std::size_t kRelationshipsMax = 20'000;

// "../media/x" beside "word/document.xml" is "media/x"; "/word/x" counts from the package's root.
std::string resolved(const std::string& part, std::string_view target) {
  if (target.starts_with('/')) return std::string(target.substr(1));
  std::size_t slash = part.rfind('/');
  std::string folder = slash == std::string::npos ? "" : part.substr(0, slash + 1);
  for (;;) {
    if (target.starts_with("./")) {
      target.remove_prefix(2);
    } else if (target.starts_with("../")) {
      target.remove_prefix(3);
      std::size_t above = folder.size() < 2 ? std::string::npos : folder.rfind('/', folder.size() - 2);
      folder = above == std::string::npos ? "" : folder.substr(0, above + 1);
    } else {
      return folder + std::string(target);
    }
  }
}

}  // namespace

std::vector<Relationship> relationships_of(const Package& package, const std::string& part) {
  std::size_t slash = part.rfind('/');
  std::size_t name_at = slash == std::string::npos ? 0 : slash + 1;
  std::vector<Relationship> out;
  std::string name = part.substr(0, name_at) + "_rels/" + part.substr(name_at) + ".rels";
  if (!package.has(name)) return out;
  auto xml = package.xml(name);
  if (!xml) return out;
  for (pugi::xml_node node : (*xml)->document_element().children()) {
    if (local_name(node) != "Relationship" || out.size() >= kRelationshipsMax) continue;
    std::string_view type = value_of(node, "Type");
    type = type.substr(std::min(type.size(), type.rfind('/') + 1));
    bool external = value_of(node, "TargetMode") == "External";
    out.push_back({std::string(value_of(node, "Id")), std::string(type),
                   external ? "" : resolved(part, value_of(node, "Target")), external});
  }
  return out;
}

std::string main_word_part(const Package& package) {
  for (const Relationship& one : relationships_of(package, "")) {
    if (one.type == "officeDocument" && package.has(one.target)) return one.target;
  }
  return package.has("word/document.xml") ? "word/document.xml" : "";
}

bool is_word_package(const Package& package) {
  std::string part = main_word_part(package);
  if (part.empty()) return false;
  if (part.starts_with("word/")) return true;
  auto xml = package.xml(part);
  return xml && local_name((*xml)->document_element()) == "document" &&
         child_of((*xml)->document_element(), "body");
}

}  // namespace bulkhead::extract
