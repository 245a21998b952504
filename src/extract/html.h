// Pages read into a document that is being built: a file of their own, Markdown, parts of other documents.
#pragma once

#include <string_view>

#include "extract/document.h"

namespace bulkhead::extract {

enum class PageFurniture {
  LeftOut,  // navigation, banners, runs of links: a web page's own
  Kept,     // a text whose author wrote all of it
};

// Errors: Invalid when elements nest too deeply, TooLarge for a page beyond the bounds.
base::Result<void> read_html(std::string_view utf8, PageFurniture furniture, DocumentBuilder& builder);

}  // namespace bulkhead::extract
