#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "storage/store_probe.h"
#include "storage/tenant_schema.h"

namespace bulkhead::storage {

namespace {

std::string octal(unsigned mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

WallSeen private_files(const std::filesystem::path& file) {
  WallSeen seen{.layer = "store", .wall = "private files"};
  std::string flaws = privacy_flaw(file.parent_path(), 0700);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code failed;
    const std::filesystem::path each = file.string() + suffix;
    if (*suffix && !std::filesystem::exists(each, failed)) continue;
    const std::string flaw = privacy_flaw(each, 0600);
    if (!flaw.empty()) flaws += (flaws.empty() ? "" : "; ") + flaw;
  }
  seen.stands = flaws.empty();
  seen.check = seen.stands ? "folder 0700, files 0600, of the gateway's own user" : flaws;
  seen.remedy = "Take the rights of others away: chmod 0700 for the folder, 0600 for the files in it.";
  return seen;
}

WallSeen expired_chats(SqliteDatabase& database, std::int64_t now) {
  WallSeen seen{.layer = "retention", .wall = "expired chats are deleted"};
  seen.remedy = "Look for expired_chats_not_removed in the gateway's log.";
  Statement statement = database.prepare("SELECT count(*) FROM chats WHERE expires > 0 AND expires < ?1");
  statement.bind(now - kSweepGraceSeconds);
  auto row = statement.step();
  const std::int64_t left = row && *row ? statement.integer(0) : -1;
  seen.stands = left == 0;
  seen.check = left < 0 ? "the chats could not be counted" : std::to_string(left) + " expired chats are left";
  return seen;
}

}  // namespace

std::string privacy_flaw(const std::filesystem::path& path, unsigned mode) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return path.string() + ": " + std::strerror(errno);
  if (S_ISLNK(found.st_mode)) return path.string() + " is a link; put the file itself there";
  if (found.st_uid != ::geteuid() && found.st_uid != 0)
    return path.string() + " belongs to another user; chown it to the gateway's";
  const unsigned has = found.st_mode & 07777;
  if ((has & ~mode & 0777) == 0) return "";
  return path.string() + " has mode " + octal(has) + "; chmod " + octal(mode) + " it";
}

StoreProbe probe_embedded(const std::filesystem::path& file, const base::Secret& own_key,
                          const base::Secret& foreign_key, const std::string& whose, std::int64_t now) {
  StoreProbe out;
  std::error_code failed;
  if (!std::filesystem::exists(file, failed)) return out;
  out.made = true;
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const auto size = std::filesystem::file_size(file.string() + suffix, failed);
    if (!failed) out.bytes += size;
  }
  out.walls.push_back(private_files(file));
  WallSeen key{.layer = "store", .wall = "own SQLCipher file under its own key"};
  key.remedy = "Restore the tenant's store from a backup, or check the platform key file.";
  // First with its own key, which also is the control, and the foreign one beside it: so that no attempt
  // with a wrong key ever is the last one out, which would tidy the write-ahead log.
  auto own = open_tenant_database(file, own_key, SqliteDatabase::Mode::ReadOnly);
  if (!own) {
    key.check = "its own key does not open it: " + own.error().detail();
    out.walls.push_back(std::move(key));
    return out;
  }
  auto foreign = open_tenant_database(file, foreign_key, SqliteDatabase::Mode::ReadOnly);
  key.stands = !foreign && foreign.error().is(StorageError::WrongKey);
  key.check = key.stands ? "opened with its own key; with " + whose + ": refused"
              : foreign  ? "IT OPENS WITH " + whose
                         : "with " + whose + ": " + foreign.error().describe();
  if (foreign) {
    key.remedy = "Suspend the tenant now, and report this: two tenants' keys must never be the same.";
  }
  out.walls.push_back(std::move(key));
  out.walls.push_back(expired_chats(**own, now));
  return out;
}

}  // namespace bulkhead::storage
