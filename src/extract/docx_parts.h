// How the parts of an Office document refer to one another (ECMA-376 part 2): by relationships, never by
// name.
#pragma once

#include <string>
#include <vector>

#include "extract/package.h"

namespace bulkhead::extract {

struct Relationship {
  std::string id, type,
      target;  // type: its last segment ("footnotes"); target: the part's name in the package
  bool external = false;
};

// Of a part, or of the package itself for "". Empty when there are none, or when they can't be read.
std::vector<Relationship> relationships_of(const Package& package, const std::string& part);

// The main document's name: by relationship, else by the usual name; "" when there is none.
std::string main_word_part(const Package& package);
// True when that part is a Word document's.
bool is_word_package(const Package& package);

}  // namespace bulkhead::extract
