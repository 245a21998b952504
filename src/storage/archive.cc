#include "storage/archive.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/json.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "storage/record_parts.h"
#include "storage/sqlite_error.h"

namespace bulkhead::storage {
namespace {

using base::Result;

constexpr std::string_view kMagic = "BHKARCH1";
constexpr std::string_view kKeyContext = "bulkhead/backup-key/1";
constexpr std::string_view kFrameContext = "bulkhead/archive/1";
constexpr std::string_view kManifestFormat = "bulkhead/manifest/1";
constexpr std::size_t kHeaderBytesMax = 4096;
constexpr std::size_t kTenantBytesMax = 1u << 20;
constexpr std::uint64_t kManifestBytesMax = 1ull << 30;
constexpr std::uint64_t kSubjectBytesMax = 4ull << 30;
constexpr std::size_t kRecordHeadBytes = 1 + 1 + 8;  // kind, length of the name, length of the payload
constexpr std::size_t kBoxBytes = kFrameBytes + crypto::kAeadOverheadBytes;

void append_big_endian(base::Bytes& out, std::uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<std::uint8_t>(number >> (8 * i)));
}

std::uint64_t big_endian(base::ByteView bytes) {
  std::uint64_t number = 0;
  for (std::uint8_t byte : bytes) number = number << 8 | byte;
  return number;
}

base::Bytes frame_context(const crypto::Digest& header, std::uint64_t number, bool last) {
  base::Bytes context(kFrameContext.begin(), kFrameContext.end());
  context.insert(context.end(), header.begin(), header.end());
  append_big_endian(context, number, 8);
  context.push_back(last ? 1 : 0);
  return context;
}

base::Bytes key_context(std::string_view archive) { return pack_parts({kKeyContext, archive}); }

struct OpenedHeader {
  ArchiveHeader header;
  base::Bytes wrapped_key;
  crypto::Digest hash{};    // of all bytes before the first frame
  std::uint64_t bytes = 0;  // where the first frame begins
  std::uint64_t file_bytes = 0;
};

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t bytes) {
  std::string out(bytes, '\0');
  std::size_t used = 0;
  while (used < bytes) {
    const ssize_t got = ::pread(fd, out.data() + used, bytes - used, static_cast<off_t>(offset + used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("can't read the backup", errno);
    if (got == 0) return damaged_archive("the file ends early");
    used += static_cast<std::size_t>(got);
  }
  return out;
}

Result<OpenedHeader> read_header(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return system_error("can't examine the backup", errno);
  if (!S_ISREG(info.st_mode)) return damaged_archive("not a regular file");
  OpenedHeader out;
  out.file_bytes = static_cast<std::uint64_t>(info.st_size);
  const std::size_t fixed = kMagic.size() + 4;
  if (out.file_bytes < fixed) return damaged_archive("no header");
  BULKHEAD_TRY(start, read_at(fd, 0, fixed));
  if (!start.starts_with(kMagic)) {
    return base::Error(StorageError::BackupRefused, "This file is not a backup of Bulkhead's.",
                       "no magic number");
  }
  const std::uint64_t size = big_endian(base::as_bytes(start).subspan(kMagic.size()));
  if (size > kHeaderBytesMax || out.file_bytes < fixed + size) return damaged_archive("the header's length");
  BULKHEAD_TRY(text, read_at(fd, fixed, size));
  auto document = base::json::Document::parse(text);
  if (!document) return damaged_archive("the header is no JSON");
  const base::json::Value root = document->root();
  if (root["format"].as_int() != 1) {
    return base::Error(StorageError::BackupRefused,
                       "This backup is of a format that this version does not know. Use a newer Bulkhead.",
                       "format is not 1");
  }
  const auto text_of = [&](std::string_view name) {
    return std::string(root[name].as_string().value_or(""));
  };
  out.header = {text_of("archive"), text_of("base"), text_of("created"), text_of("key_id")};
  auto key = base::base64url_decode(text_of("key"));
  if (!base::is_identifier(out.header.id) || !key) return damaged_archive("the header lacks a member");
  out.wrapped_key = std::move(*key);
  out.hash = crypto::sha256(start + text);
  out.bytes = fixed + size;
  return out;
}

Result<int> open_for_reading(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) return fd;
  if (errno == ENOENT) {
    return base::Error(StorageError::NotFound, "There is no backup " + file.filename().string() + ".",
                       file.string());
  }
  return system_error("can't open " + file.string(), errno);
}

base::Bytes manifest_payload(const Manifest& manifest) {
  base::Bytes out = pack_parts({kManifestFormat, manifest.tenant, manifest.taken});
  append_big_endian(out, manifest.entries.size(), 8);
  for (const SubjectEntry& entry : manifest.entries) {
    out.push_back(static_cast<std::uint8_t>(entry.name.size()));
    out.insert(out.end(), entry.name.begin(), entry.name.end());
    out.insert(out.end(), entry.digest.begin(), entry.digest.end());
  }
  return out;
}

Result<Manifest> parse_manifest(base::ByteView payload) {
  // Its head is as long as its parts say.
  std::size_t head = 0;
  for (int part = 0; part < 3; ++part) {
    if (payload.size() < head + 4) return damaged_archive("the manifest's head");
    std::uint32_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size |= static_cast<std::uint32_t>(payload[head + i]) << (8 * i);
    if (size > payload.size() - head - 4) return damaged_archive("the manifest's head");
    head += 4 + size;
  }
  auto parts = unpack_parts(payload.first(head), 3, "a manifest");
  if (!parts || (*parts)[0] != kManifestFormat || payload.size() < head + 8)
    return damaged_archive("the manifest");
  Manifest manifest{(*parts)[1], (*parts)[2], {}};
  const std::uint64_t count = big_endian(payload.subspan(head, 8));
  base::ByteView rest = payload.subspan(head + 8);
  std::set<std::string_view> seen;
  while (!rest.empty()) {
    const std::size_t name_bytes = rest[0];
    SubjectEntry entry;
    if (rest.size() < 1 + name_bytes + entry.digest.size())
      return damaged_archive("an entry of the manifest");
    entry.name = base::as_text(rest.subspan(1, name_bytes));
    if (!subject_kind(entry.name)) return damaged_archive("a name in the manifest");
    std::copy_n(rest.begin() + 1 + static_cast<std::ptrdiff_t>(name_bytes), entry.digest.size(),
                entry.digest.begin());
    rest = rest.subspan(1 + name_bytes + entry.digest.size());
    manifest.entries.push_back(std::move(entry));
  }
  if (manifest.entries.size() != count) return damaged_archive("the number of entries in the manifest");
  for (const SubjectEntry& entry : manifest.entries) {
    if (!seen.insert(entry.name).second) return damaged_archive("an entry stands twice in the manifest");
  }
  return manifest;
}

}  // namespace

base::Error damaged_archive(std::string detail) {
  return base::Error(StorageError::BackupRefused,
                     "The backup is damaged, cut short or was altered. Nothing of it was used; take another "
                     "copy of it.",
                     std::move(detail));
}

Result<base::Secret> read_backup_key(const std::filesystem::path& file) {
  const auto bad = [&](std::string detail) {
    return base::Error(
        StorageError::BackupRefused,
        "The backup key can't be used: it must be a file of mode 0600 with 64 hex digits. Make "
        "one with `bulkhead backup key FILE`.",
        file.string() + ": " + std::move(detail));
  };
  auto text = base::read_secret_file(file, 2 * kBackupKeyBytes + 2);
  if (!text) return bad(text.error().message());
  auto bytes = base::hex_decode(text->reveal_text());
  if (!bytes || bytes->size() != kBackupKeyBytes) return bad("not 64 hex digits");
  base::Secret key = base::Secret::copy_of(base::ByteView(*bytes));
  base::wipe(*bytes);
  return key;
}

std::string backup_key_id(const base::Secret& key) {
  const crypto::Digest digest =
      crypto::sha256_parts({base::as_bytes("bulkhead/backup-key-id/1"), key.reveal()});
  return base::hex_encode(base::ByteView(digest).first(8));
}

Result<ArchiveHeader> read_archive_header(const std::filesystem::path& file) {
  BULKHEAD_TRY(fd, open_for_reading(file));
  const base::Descriptor opened(fd);
  BULKHEAD_TRY(header, read_header(opened.get()));
  return header.header;
}

crypto::Digest Manifest::digest() const { return crypto::sha256(base::ByteView(manifest_payload(*this))); }

// --- writing ---

struct ArchiveWriter::Impl {
  std::filesystem::path path, temporary;
  base::Descriptor file;
  std::string id;
  base::Secret key;
  crypto::Digest header_hash{};
  std::uint64_t frame = 0;
  base::Bytes waiting;  // plaintext that is in no frame yet
  std::optional<base::Error> failure;
  bool finished = false;

  Impl(std::filesystem::path where, int fd, std::filesystem::path temporary_path)
      : path(std::move(where)), temporary(std::move(temporary_path)), file(fd) {
    waiting.reserve(kFrameBytes);
  }

  void write(base::ByteView bytes) {
    while (!bytes.empty() && !failure) {
      const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) {
        failure = system_error("can't write " + temporary.string(), errno);
        return;
      }
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
  }
  void seal_frame(bool last) {
    const base::Bytes box = crypto::seal(key, waiting, frame_context(header_hash, frame, last));
    write(box);
    ++frame;
    base::wipe(waiting);
    waiting.reserve(kFrameBytes);
  }
  // A frame goes out once there is more to come, so that the last one knows that it is.
  void put(base::ByteView bytes) {
    while (!bytes.empty() && !failure) {
      if (waiting.size() == kFrameBytes) seal_frame(false);
      const std::size_t taken = std::min(bytes.size(), kFrameBytes - waiting.size());
      waiting.insert(waiting.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
      bytes = bytes.subspan(taken);
    }
  }
  void put_head(ArchiveRecord kind, std::string_view name, std::uint64_t bytes) {
    base::Bytes head = {static_cast<std::uint8_t>(kind), static_cast<std::uint8_t>(name.size())};
    append_big_endian(head, bytes, 8);
    head.insert(head.end(), name.begin(), name.end());
    put(head);
  }
  Result<void> outcome() {
    if (failure) return *failure;
    return {};
  }
};

ArchiveWriter::ArchiveWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ArchiveWriter::~ArchiveWriter() {
  if (!impl_->finished) ::unlink(impl_->temporary.c_str());
  base::wipe(impl_->waiting);
}

const std::string& ArchiveWriter::id() const { return impl_->id; }

Result<std::unique_ptr<ArchiveWriter>> ArchiveWriter::create(const std::filesystem::path& file,
                                                             const base::Secret& backup_key,
                                                             const std::string& base_id, base::WallTime now) {
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) {
    return base::Error(StorageError::AlreadyExists,
                       "There is a file " + file.filename().string() + " already. Choose another name.",
                       file.string());
  }
  const auto temporary = file.parent_path() / ("." + file.filename().string() + ".partial");
  ::unlink(temporary.c_str());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("can't make " + temporary.string(), errno);
  // As long as somebody writes it: `remove_unfinished` then leaves it alone.
  ::flock(fd, LOCK_EX | LOCK_NB);
  auto impl = std::make_unique<Impl>(file, fd, temporary);
  impl->id = crypto::random_id();
  impl->key = crypto::random_secret(crypto::kAeadKeyBytes);
  base::json::Writer w;
  w.begin_object().member("format", 1).member("archive", impl->id);
  w.member("base", base_id).member("created", base::rfc3339(now)).member("key_id", backup_key_id(backup_key));
  w.member("key",
           base::base64url_encode(crypto::seal(backup_key, impl->key.reveal(), key_context(impl->id))));
  w.end_object();
  base::Bytes header(kMagic.begin(), kMagic.end());
  append_big_endian(header, w.text().size(), 4);
  const base::ByteView text = base::as_bytes(w.text());
  header.insert(header.end(), text.begin(), text.end());
  impl->header_hash = crypto::sha256(base::ByteView(header));
  impl->write(header);
  BULKHEAD_CHECK_OK(impl->outcome());
  return std::unique_ptr<ArchiveWriter>(new ArchiveWriter(std::move(impl)));
}

Result<void> ArchiveWriter::tenant(base::ByteView facts) {
  impl_->put_head(ArchiveRecord::Tenant, "", facts.size());
  impl_->put(facts);
  return impl_->outcome();
}

Result<void> ArchiveWriter::subject(const std::string& name, const Subject& subject) {
  impl_->put_head(ArchiveRecord::Subject, name, encoded_bytes(subject));
  encode_subject(subject, [&](base::ByteView piece) { impl_->put(piece); });
  return impl_->outcome();
}

Result<std::uint64_t> ArchiveWriter::finish(const Manifest& manifest) {
  const base::Bytes payload = manifest_payload(manifest);
  impl_->put_head(ArchiveRecord::Manifest, "", payload.size());
  impl_->put(payload);
  impl_->seal_frame(true);
  BULKHEAD_CHECK_OK(impl_->outcome());
  struct stat info{};
  if (::fsync(impl_->file.get()) != 0 || ::fstat(impl_->file.get(), &info) != 0) {
    return system_error("can't sync " + impl_->temporary.string(), errno);
  }
  // Never over a file that came meanwhile.
  if (::link(impl_->temporary.c_str(), impl_->path.c_str()) != 0) {
    return system_error("can't name " + impl_->path.string(), errno);
  }
  ::unlink(impl_->temporary.c_str());
  impl_->finished = true;
  if (auto synced = base::sync_directory(impl_->path.parent_path()); !synced) {
    return folder_error(synced.error());
  }
  return static_cast<std::uint64_t>(info.st_size);
}

void remove_unfinished_archives(const std::filesystem::path& dir) {
  std::error_code failed;
  for (std::filesystem::directory_iterator each(dir, failed), end; !failed && each != end;
       each.increment(failed)) {
    const std::string name = each->path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(".partial")) continue;
    const base::Descriptor file(::open(each->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(each->path().c_str());
  }
}

// --- reading ---

struct ArchiveReader::Impl {
  base::Descriptor file;
  OpenedHeader header;
  base::Secret key;
  std::uint64_t frames = 0;
  std::uint64_t last_bytes = 0;  // of the last frame's box
  base::Bytes plain;             // of the frame that was opened last
  std::uint64_t plain_frame = ~std::uint64_t{0};
  base::Secret tenant;
  Manifest manifest;
  std::vector<Place> subjects;

  explicit Impl(int fd) : file(fd) {}
  ~Impl() { base::wipe(plain); }

  std::uint64_t stream_bytes() const {
    return (frames - 1) * kFrameBytes + (last_bytes - crypto::kAeadOverheadBytes);
  }
  Result<void> open_frame(std::uint64_t number) {
    if (number == plain_frame) return {};
    const bool last = number + 1 == frames;
    BULKHEAD_TRY(box, read_at(file.get(), header.bytes + number * kBoxBytes, last ? last_bytes : kBoxBytes));
    auto opened = crypto::open(key, base::as_bytes(box), frame_context(header.hash, number, last));
    if (!opened) return damaged_archive("frame " + std::to_string(number) + " does not open");
    base::wipe(plain);
    plain = std::move(*opened);
    plain_frame = number;
    return {};
  }
  // Gives `bytes` from `offset` on in pieces.
  Result<void> each(std::uint64_t offset, std::uint64_t bytes, const ByteSink& sink) {
    if (bytes > stream_bytes() || offset > stream_bytes() - bytes)
      return damaged_archive("a record reaches past the end");
    while (bytes > 0) {
      BULKHEAD_CHECK_OK(open_frame(offset / kFrameBytes));
      const std::size_t within = offset % kFrameBytes;
      const std::size_t taken =
          static_cast<std::size_t>(std::min<std::uint64_t>(bytes, plain.size() - within));
      sink(base::ByteView(plain).subspan(within, taken));
      offset += taken;
      bytes -= taken;
    }
    return {};
  }
  Result<base::Bytes> take(std::uint64_t offset, std::uint64_t bytes) {
    base::Bytes out;
    out.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, stream_bytes())));
    BULKHEAD_CHECK_OK(each(offset, bytes,
                           [&](base::ByteView piece) { out.insert(out.end(), piece.begin(), piece.end()); }));
    return out;
  }
  Result<std::uint64_t> record(std::uint64_t offset, bool& ended);
};

ArchiveReader::ArchiveReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveReader::~ArchiveReader() = default;
const ArchiveHeader& ArchiveReader::header() const { return impl_->header.header; }
const base::Secret& ArchiveReader::tenant() const { return impl_->tenant; }
const Manifest& ArchiveReader::manifest() const { return impl_->manifest; }
const std::vector<ArchiveReader::Place>& ArchiveReader::subjects() const { return impl_->subjects; }

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::open(const std::filesystem::path& file,
                                                           const base::Secret& backup_key) {
  BULKHEAD_TRY(fd, open_for_reading(file));
  auto impl = std::make_unique<Impl>(fd);
  BULKHEAD_TRY(header, read_header(fd));
  impl->header = std::move(header);
  const ArchiveHeader& said = impl->header.header;
  auto key = crypto::open_secret(backup_key, impl->header.wrapped_key, key_context(said.id));
  if (!key) {
    if (said.key_id == backup_key_id(backup_key)) return damaged_archive("the wrapped key does not open");
    return base::Error(StorageError::BackupRefused,
                       "The backup " + file.filename().string() + " was made under another backup key (" +
                           said.key_id + ") than this one (" + backup_key_id(backup_key) + ").",
                       file.string());
  }
  impl->key = std::move(*key);
  const std::uint64_t rest = impl->header.file_bytes - impl->header.bytes;
  impl->frames = rest / kBoxBytes + (rest % kBoxBytes != 0 ? 1 : 0);
  impl->last_bytes = impl->frames == 0 ? 0 : rest - (impl->frames - 1) * kBoxBytes;
  if (impl->last_bytes <= crypto::kAeadOverheadBytes) return damaged_archive("no last frame");
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(impl)));
}

// Reads the record at `offset`; gives the offset behind it.
Result<std::uint64_t> ArchiveReader::Impl::record(std::uint64_t offset, bool& ended) {
  BULKHEAD_TRY(head, take(offset, kRecordHeadBytes));
  const std::uint64_t bytes = big_endian(base::ByteView(head).subspan(2));
  BULKHEAD_TRY(name_bytes, take(offset + kRecordHeadBytes, head[1]));
  const std::string name(base::as_text(name_bytes));
  const std::uint64_t begin = offset + kRecordHeadBytes + head[1];
  switch (static_cast<ArchiveRecord>(head[0])) {
    case ArchiveRecord::Tenant: {
      if (bytes > kTenantBytesMax || !tenant.empty() || !name.empty())
        return damaged_archive("the tenant's record");
      BULKHEAD_TRY(facts, take(begin, bytes));
      tenant = base::Secret::copy_of(base::ByteView(facts));
      base::wipe(facts);
      return begin + bytes;
    }
    case ArchiveRecord::Subject: {
      if (bytes > kSubjectBytesMax || !subject_kind(name)) return damaged_archive("a record");
      crypto::Sha256 hash;
      BULKHEAD_CHECK_OK(each(begin, bytes, [&](base::ByteView piece) { hash.update(piece); }));
      subjects.push_back({name, hash.finish(), begin, bytes});
      return begin + bytes;
    }
    case ArchiveRecord::Manifest: {
      if (bytes > kManifestBytesMax || !name.empty()) return damaged_archive("the manifest");
      BULKHEAD_TRY(payload, take(begin, bytes));
      BULKHEAD_TRY(parsed, parse_manifest(payload));
      manifest = std::move(parsed);
      ended = true;
      return begin + bytes;
    }
  }
  return damaged_archive("a record of an unknown kind");
}

Result<void> ArchiveReader::verify() {
  std::uint64_t offset = 0;
  bool ended = false;
  while (!ended) {
    BULKHEAD_TRY(next, impl_->record(offset, ended));
    offset = next;
  }
  if (offset != impl_->stream_bytes()) return damaged_archive("something follows the manifest");
  if (impl_->tenant.empty()) return damaged_archive("the tenant's record is missing");
  return {};
}

Result<Subject> ArchiveReader::read(const Place& place) {
  std::string form;
  form.reserve(place.bytes);
  crypto::Sha256 hash;
  BULKHEAD_CHECK_OK(impl_->each(place.offset, place.bytes, [&](base::ByteView piece) {
    hash.update(piece);
    form.append(base::as_text(piece));
  }));
  // The file may have been changed since it was verified.
  if (hash.finish() != place.digest) return damaged_archive(place.name + " is not what it was");
  auto subject = decode_subject(form);
  if (!subject) return damaged_archive(place.name + ": " + subject.error().describe());
  if (subject_name(*subject) != place.name) return damaged_archive(place.name + " is another record");
  return subject;
}

}  // namespace bulkhead::storage
