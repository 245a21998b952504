// Files, with the permissions and durability that the rest of the code relies on. Blocking.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bulkhead::base {

enum class FileError { NotFound, Permission, TooLarge, TooOpen, Io };
ErrorName error_name(FileError code);

// Reads at most `bytes_max`; more is TooLarge.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

// Reads a secret. Refuses (TooOpen) a file that others than its owner may read, a symlink to one,
// and a file owned by neither this user nor root. Strips one trailing newline.
Result<Secret> read_secret_file(const std::filesystem::path& path, std::size_t bytes_max);

// Writes to a temporary file beside `path`, syncs it, renames it over `path`, syncs the folder:
// after a crash either the old or the new content is there, whole. Mode 0600 unless told.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode = 0600);

// A new, renamed or removed name in this folder survives a crash from here on.
Result<void> sync_directory(const std::filesystem::path& path);

// Makes the folder and its parents with mode 0700; an existing one that others may write to is
// refused.
Result<void> make_private_directory(const std::filesystem::path& path);

}  // namespace bulkhead::base
