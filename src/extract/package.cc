#include "extract/package.h"

#include "extract/document.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kEntriesMax = 5'000;
constexpr std::size_t kPartBytesMax = 64u << 20;
constexpr std::uint64_t kRatioMax = 400;  // unpacked to packed: beyond lies a bomb

Error invalid(std::string what) { return Error(ExtractionError::Invalid, std::move(what)); }

}  // namespace

Result<Package> Package::open(std::string_view bytes) {
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

Result<std::string> Package::part(const std::string& name) const {
  zip_stat_t info;
  if (zip_stat(archive_.get(), name.c_str(), 0, &info) != 0)
    return invalid("The document has no part " + name + ".");
  if (info.encryption_method != ZIP_EM_NONE) {
    return Error(ExtractionError::Encrypted, "The document is protected by a password. Remove it first.");
  }
  bool bomb = info.size > kPartBytesMax || (info.comp_size > 0 && info.size / info.comp_size > kRatioMax);
  if (bomb) return Error(ExtractionError::TooLarge, "A part of the document unpacks to more than is taken.");
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

}  // namespace bulkhead::extract
