// Documents that are a zip of XML parts: Office Open XML (ECMA-376, ISO/IEC 29500), OpenDocument (ISO/IEC
// 26300), EPUB. Read from memory with bounds; nothing outside the bytes is opened, and no reference is
// followed.
//
// Bounds: entries, bytes of a part and of all parts read together, unpacked to packed bytes. XML entities
// other than the five built-in ones are not expanded (pugixml has no DTD support), so entity bombs are plain
// text. Thread safety: none. The bytes outlive the package.
#pragma once

#include <zip.h>

#include <memory>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::extract {

// One arrow of Open Packaging Conventions (ISO/IEC 29500-2, 9.3): the id a part refers by, the last word of
// the type's address ("slide"), and the part it names; an external one names no part.
struct Relationship {
  std::string id, type, target;
  bool external = false;
};

class Package {
 public:
  // Errors: Invalid for a damaged container or one with too many parts.
  static base::Result<Package> open(std::string_view bytes, std::uint64_t unpacked_bytes_max = 256u << 20);

  bool has(const std::string& name) const;
  std::vector<std::string> names() const;
  // Errors: Invalid when it is missing or damaged, Encrypted, TooLarge.
  // `streams`: it is read once from front to end, without a tree beside it, and may be larger.
  base::Result<std::string> part(const std::string& name, bool streams = false) const;
  // The same, parsed.
  base::Result<std::unique_ptr<pugi::xml_document>> xml(const std::string& name) const;

  // Those of a part, or of the package for "". None when there is no such list or it is damaged.
  std::vector<Relationship> relationships(const std::string& part) const;
  // The part that the package's own relationship names as the document, "" when there is none.
  std::string main_part() const;
  // The title among the document's properties, "" when it has none.
  std::string title() const;
  // The media type that [Content_Types].xml gives a part, in small letters, "" when it gives none.
  std::string content_type(const std::string& part) const;

 private:
  struct Close {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  std::unique_ptr<zip_t, Close> archive_;
  std::uint64_t unpacked_max_ = 0;
  mutable std::uint64_t unpacked_ = 0;  // bytes of all parts read so far
};

// `target` as seen from the part `base`: "../media/a" beside "ppt/slides/s1.xml" is "ppt/media/a".
std::string resolve_part(std::string_view base, std::string_view target);

}  // namespace bulkhead::extract
