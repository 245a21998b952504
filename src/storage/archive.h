// Archives: the file that one backup of a tenant is in (storage/backup.h). docs/formats.md has the bytes.
//
// An archive is a header in plain and a stream of records in sealed frames. The header names the archive,
// the one it builds upon and the backup key, and holds the archive's own random key wrapped under that
// backup key. Each frame is sealed (crypto/aead.h) with the archive's key, the header's hash, the frame's
// number and whether it is the last as associated data: so a frame that was altered, moved, left out,
// repeated or brought from another archive does not open, and neither does the rest of a file that was
// cut or added to, wherever.
//
// Errors: StorageError::BackupRefused for all that is wrong with an archive or its key; Io, Full.
// Ownership: an object owns its file. Thread safety: one thread at a time. All members block.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "storage/subject.h"

namespace bulkhead::storage {

inline constexpr std::size_t kBackupKeyBytes = 32;
inline constexpr std::size_t kFrameBytes = 256u << 10;  // of plaintext; only the last has fewer

// A backup key file: 64 hex digits, mode 0600.
base::Result<base::Secret> read_backup_key(const std::filesystem::path& file);
// A name for a backup key that says nothing of it.
std::string backup_key_id(const base::Secret& key);

// What is said of an archive that is not whole or not authentic.
base::Error damaged_archive(std::string detail);

struct ArchiveHeader {
  std::string id;    // 130 random bits
  std::string base;  // id of the archive that it builds upon; "": it stands alone
  std::string created;
  std::string key_id;
};
// What stands in plain; nothing of it is proven before the frames were opened.
base::Result<ArchiveHeader> read_archive_header(const std::filesystem::path& file);

enum class ArchiveRecord : std::uint8_t { Tenant = 1, Subject = 2, Manifest = 3 };

// What the tenant's store held at the backup's instant.
struct Manifest {
  std::string tenant;
  std::string taken;  // the instant, RFC 3339
  std::vector<SubjectEntry> entries;
  crypto::Digest digest() const;
};

class ArchiveWriter {
 public:
  // Writes to a temporary file beside `file`, which must not exist.
  static base::Result<std::unique_ptr<ArchiveWriter>> create(const std::filesystem::path& file,
                                                             const base::Secret& backup_key,
                                                             const std::string& base_id, base::WallTime now);
  ~ArchiveWriter();  // an unfinished archive is removed
  const std::string& id() const;
  base::Result<void> tenant(base::ByteView facts);
  base::Result<void> subject(const std::string& name, const Subject& subject);
  // The last record; then the file is whole, durable and under its name. Its size.
  base::Result<std::uint64_t> finish(const Manifest& manifest);

 private:
  struct Impl;
  explicit ArchiveWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a crash left of archives that were never finished, and nobody writes any more.
void remove_unfinished_archives(const std::filesystem::path& dir);

class ArchiveReader {
 public:
  static base::Result<std::unique_ptr<ArchiveReader>> open(const std::filesystem::path& file,
                                                           const base::Secret& backup_key);
  ~ArchiveReader();
  const ArchiveHeader& header() const;

  // Where a subject stands that has been read and whose digest is `digest`.
  struct Place {
    std::string name;
    crypto::Digest digest;
    std::uint64_t offset;  // in the stream
    std::uint64_t bytes;
  };
  // Reads the archive from its first byte to its last. Everything below is good after it succeeded.
  base::Result<void> verify();
  const base::Secret& tenant() const;
  const Manifest& manifest() const;
  const std::vector<Place>& subjects() const;
  base::Result<Subject> read(const Place& place);

 private:
  struct Impl;
  explicit ArchiveReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::storage
