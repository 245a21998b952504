// Documents that are a zip of XML parts: Office Open XML (ECMA-376, ISO/IEC 29500), OpenDocument (ISO/IEC
// 26300), EPUB. Read from memory with bounds; nothing outside the bytes is opened, and no reference is
// followed.
//
// Bounds: entries, bytes of a part, unpacked to packed bytes. XML entities other than the five built-in ones
// are not expanded (pugixml has no DTD support), so entity bombs are plain text. Thread safety: none. The
// bytes outlive the package.
#pragma once

#include <zip.h>

#include <memory>
#include <pugixml.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bulkhead::extract {

class Package {
 public:
  // Errors: Invalid for a damaged container or one with too many parts.
  static base::Result<Package> open(std::string_view bytes);

  bool has(const std::string& name) const;
  std::vector<std::string> names() const;
  // Errors: Invalid when it is missing or damaged, Encrypted, TooLarge.
  base::Result<std::string> part(const std::string& name) const;
  // The same, parsed.
  base::Result<std::unique_ptr<pugi::xml_document>> xml(const std::string& name) const;

 private:
  struct Close {
    void operator()(zip_t* archive) const { zip_discard(archive); }
  };
  std::unique_ptr<zip_t, Close> archive_;
};

}  // namespace bulkhead::extract
