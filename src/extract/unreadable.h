// Files that are not read, told by what they are, each refused with the way out.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "extract/package.h"

namespace bulkhead::extract {

// A compound file that holds a message of Outlook.
bool is_outlook_message(std::string_view bytes);

// By the mark at the file's front, nothing when it has none that is known. Errors: Unsupported, Encrypted.
std::optional<base::Error> refuse_by_mark(std::string_view bytes);

// A zip that is no document that is read.
base::Error refuse_package(const Package& package);

}  // namespace bulkhead::extract
