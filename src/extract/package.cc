#include "extract/package.h"

#include <algorithm>
#include <cctype>

#include "extract/document.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kEntriesMax = 5'000;
constexpr std::size_t kPartBytesMax = 64u << 20;     // of one that is read as a tree
constexpr std::size_t kStreamBytesMax = 192u << 20;  // of one that is read once from front to end
constexpr std::size_t kRelationshipsMax = 20'000;
constexpr std::uint64_t kRatioMax = 400;  // unpacked to packed: beyond lies a bomb

Error invalid(std::string what) { return Error(ExtractionError::Invalid, std::move(what)); }

}  // namespace

Result<Package> Package::open(std::string_view bytes, std::uint64_t unpacked_bytes_max) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* archive = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : nullptr;
  zip_error_fini(&error);
  if (!archive) {
    if (source) zip_source_free(source);
    return invalid("The document's container is damaged.");
  }
  Package package;
  package.unpacked_max_ = unpacked_bytes_max;
  package.archive_.reset(archive);
  if (zip_get_num_entries(archive, 0) > static_cast<zip_int64_t>(kEntriesMax)) {
    return invalid("The document's container holds too many parts.");
  }
  return package;
}

bool Package::has(const std::string& name) const {
  return zip_name_locate(archive_.get(), name.c_str(), 0) >= 0;
}

std::vector<std::string> Package::names() const {
  std::vector<std::string> out;
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    if (const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0))
      out.emplace_back(name);
  }
  return out;
}

Result<std::string> Package::part(const std::string& name, bool streams) const {
  zip_stat_t info;
  if (zip_stat(archive_.get(), name.c_str(), 0, &info) != 0)
    return invalid("The document has no part " + name + ".");
  if (info.encryption_method != ZIP_EM_NONE) {
    return Error(ExtractionError::Encrypted, "The document is protected by a password. Remove it first.");
  }
  bool bomb = info.size > (streams ? kStreamBytesMax : kPartBytesMax) ||
              (info.comp_size > 0 && info.size / info.comp_size > kRatioMax);
  unpacked_ += info.size;
  if (bomb || unpacked_ > unpacked_max_)
    return Error(ExtractionError::TooLarge,
                 "A part of the document unpacks to more than is taken. Split it.");
  zip_file_t* file = zip_fopen(archive_.get(), name.c_str(), 0);
  if (!file) return invalid("A part of the document can't be unpacked.");
  std::string content(info.size, '\0');
  std::size_t filled = 0;
  while (filled < content.size()) {
    zip_int64_t got = zip_fread(file, content.data() + filled, content.size() - filled);
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  zip_fclose(file);
  if (filled != content.size()) return invalid("A part of the document is cut short.");
  return content;
}

Result<std::unique_ptr<pugi::xml_document>> Package::xml(const std::string& name) const {
  BULKHEAD_TRY(text, part(name));
  auto document = std::make_unique<pugi::xml_document>();
  // White space is text: "5" and "mg" stand in runs of their own, with a run of one space between.
  const unsigned how = (pugi::parse_default | pugi::parse_ws_pcdata) & ~pugi::parse_doctype;
  if (!document->load_buffer(text.data(), text.size(), how))
    return invalid("The document's part " + name + " is damaged.");
  return document;
}

std::vector<Relationship> Package::relationships(const std::string& part) const {
  std::size_t slash = part.rfind('/');
  std::string folder = slash == std::string::npos ? "" : part.substr(0, slash + 1);
  std::string list = folder + "_rels/" + part.substr(folder.size()) + ".rels";
  std::vector<Relationship> out;
  if (!has(list)) return out;
  auto document = xml(list);
  if (!document) return out;
  for (pugi::xml_node node : (*document)->document_element().children()) {
    if (out.size() >= kRelationshipsMax) break;
    if (node.type() != pugi::node_element) continue;  // white space between them is a node too
    bool external = value_of(node, "TargetMode") == "External";
    std::string type(value_of(node, "Type"));
    out.push_back({std::string(value_of(node, "Id")), type.substr(type.rfind('/') + 1),
                   external ? "" : resolve_part(part, value_of(node, "Target")), external});
  }
  return out;
}

std::string Package::main_part() const {
  for (const Relationship& relationship : relationships("")) {
    if (relationship.type == "officeDocument") return relationship.target;
  }
  return "";
}

std::string Package::title() const {
  for (const Relationship& relationship : relationships("")) {
    if (relationship.type != "core-properties") continue;
    auto properties = xml(relationship.target);
    if (properties) return child_of((*properties)->document_element(), "title").text().get();
  }
  return "";
}

std::string Package::content_type(const std::string& part) const {
  if (!has("[Content_Types].xml")) return "";
  auto document = xml("[Content_Types].xml");
  if (!document) return "";
  std::string extension = part.substr(part.rfind('.') + 1), type;
  for (pugi::xml_node node : (*document)->document_element().children()) {
    std::string_view name = value_of(node, "PartName");
    if (name == "/" + part) {
      type = value_of(node, "ContentType");
      break;
    }
    if (value_of(node, "Extension") == extension) type = value_of(node, "ContentType");
  }
  for (char& c : type) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return type;
}

std::string resolve_part(std::string_view base, std::string_view target) {
  target = target.substr(0, target.find('#'));
  std::string whole;
  if (!target.starts_with('/')) {
    std::size_t slash = base.rfind('/');
    if (slash != std::string_view::npos) whole = std::string(base.substr(0, slash + 1));
  }
  whole += target;
  std::vector<std::string_view> steps;
  for (std::string_view rest = whole; !rest.empty();) {
    std::size_t end = std::min(rest.find('/'), rest.size());
    std::string_view step = rest.substr(0, end);
    if (step == ".." && !steps.empty()) {
      steps.pop_back();
    } else if (!step.empty() && step != "." && step != "..") {
      steps.push_back(step);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::string out;
  for (std::string_view step : steps) out += (out.empty() ? "" : "/") + std::string(step);
  return out;
}

}  // namespace bulkhead::extract
