#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/descriptor.h"

namespace bulkhead::base {

namespace {

constexpr std::size_t kPieceBytes = 64 << 10;

Error io_error(const std::filesystem::path& path, const char* what) {
  int code = errno;
  FileError kind = code == ENOENT                    ? FileError::NotFound
                   : code == EACCES || code == EPERM ? FileError::Permission
                                                     : FileError::Io;
  return Error(kind, std::string(what) + " failed: " + std::strerror(code), path.string());
}

Error too_large(const std::filesystem::path& path, std::size_t bytes_max) {
  return Error(FileError::TooLarge, "The file is larger than " + std::to_string(bytes_max) + " bytes.",
               path.string());
}

// Reads until `room` is full or the file ends; the number of bytes read.
Result<std::size_t> read_up_to(int fd, const std::filesystem::path& path, void* out, std::size_t room) {
  std::size_t used = 0;
  while (used < room) {
    ssize_t got = ::read(fd, static_cast<char*>(out) + used, room - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error(path, "Reading the file");
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  return used;
}

Result<void> write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    ssize_t put = ::write(fd, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return io_error(path, "Writing the file");
    content.remove_prefix(static_cast<std::size_t>(put));
  }
  return Result<void>();
}

}  // namespace

ErrorName error_name(FileError code) {
  switch (code) {
    case FileError::NotFound: return {"file", "not_found"};
    case FileError::Permission: return {"file", "permission"};
    case FileError::TooLarge: return {"file", "too_large"};
    case FileError::TooOpen: return {"file", "too_open"};
    case FileError::Io: return {"file", "io"};
  }
  return {"file", "unknown"};
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return io_error(path, "Opening the file");
  std::string content;
  std::vector<char> piece(kPieceBytes);
  while (true) {
    BULKHEAD_TRY(got, read_up_to(fd.get(), path, piece.data(), piece.size()));
    if (got > bytes_max - content.size()) return too_large(path, bytes_max);
    content.append(piece.data(), got);
    if (got < piece.size()) return content;
  }
}

Result<Secret> read_secret_file(const std::filesystem::path& path, std::size_t bytes_max) {
  Descriptor fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));  // a FIFO must not hang us
  if (fd.get() < 0) {
    if (errno == ELOOP) {
      return Error(FileError::TooOpen, "The secret file is a symbolic link; name the file itself.",
                   path.string());
    }
    return io_error(path, "Opening the secret file");
  }
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return io_error(path, "Examining the secret file");
  if (!S_ISREG(info.st_mode)) {
    return Error(FileError::TooOpen, "The secret file is not a regular file.", path.string());
  }
  if ((info.st_mode & 077) != 0) {
    return Error(FileError::TooOpen, "Others than its owner may read the secret file; run chmod 600 on it.",
                 path.string());
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return Error(FileError::TooOpen, "The secret file belongs to another user; chown it.", path.string());
  }
  auto size = static_cast<std::size_t>(info.st_size);
  if (size > bytes_max) return too_large(path, bytes_max);
  // Straight into locked memory, and no more of it than the file needs.
  Secret buffer(size + 1);
  BULKHEAD_TRY(used, read_up_to(fd.get(), path, buffer.writable(), buffer.size()));
  if (used > size) {
    return Error(FileError::Io, "The secret file grew while it was read; try again.", path.string());
  }
  if (used > 0 && buffer.reveal()[used - 1] == '\n') --used;
  return Secret::copy_of(buffer.reveal().first(used));
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode) {
  std::string temporary = path.string() + ".XXXXXX";
  Descriptor fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return io_error(path, "Making a temporary file beside it");
  auto give_up = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  if (::fchmod(fd.get(), mode) != 0) return give_up(io_error(path, "Setting the mode"));
  if (auto written = write_all(fd.get(), content, path); !written) return give_up(written.take_error());
  if (::fsync(fd.get()) != 0) return give_up(io_error(path, "Syncing the file"));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up(io_error(path, "Renaming the file"));
  std::filesystem::path folder = path.parent_path();
  return sync_directory(folder.empty() ? "." : folder);
}

Result<void> sync_directory(const std::filesystem::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return io_error(path, "Syncing the folder");
  return Result<void>();
}

Result<void> make_private_directory(const std::filesystem::path& path) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) {
    std::filesystem::path parent = path.parent_path();
    if (!parent.empty() && parent != path && !std::filesystem::exists(parent, failed)) {
      BULKHEAD_CHECK_OK(make_private_directory(parent));
    }
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return io_error(path, "Making the folder");
    }
  }
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return io_error(path, "Examining the folder");
  if (!S_ISDIR(info.st_mode)) {
    return Error(FileError::Io, "There is a file where a folder is needed.", path.string());
  }
  if ((info.st_mode & 022) != 0) {
    return Error(FileError::TooOpen, "Others may write to the folder; run chmod go-w on it.", path.string());
  }
  return Result<void>();
}

}  // namespace bulkhead::base
