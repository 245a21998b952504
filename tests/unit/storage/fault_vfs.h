// A file layer under SQLite that fails when it is told to: as a disk with an error, as a full one, or as a
// machine that loses its power. It stands between SQLite and the real one for all databases of this process.
//
// Power cut: from the chosen operation on nothing works any more. `power_on` then takes back what was written
// and not synced: all of it, none of it, or some of the writes, as real disks do that reorder. Databases must
// be closed then. With `lying` the disk says of tenants' databases that it has synced and has not, and loses
// all of that: what a test must notice.
// One writer at a time is enough for SQLite's locks; its own state is locked.
#pragma once

#define SQLITE_HAS_CODEC 1
#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace bulkhead::storage {

enum class Fault { None, IoError, DiskFull, PowerCut };

class FaultVfs {
 public:
  static FaultVfs& get() {
    static FaultVfs* one = new FaultVfs;
    return *one;
  }
  // Databases that are opened from now on are under it. SQLite must have been started (by opening one).
  void install() { sqlite3_vfs_register(&vfs_, 1); }
  void uninstall() {
    sqlite3_vfs_register(real_, 1);
    arm(Fault::None, 0, 0);
  }

  // `at`: which writing operation (write, sync, cut) from now on. An I/O error happens once and a full disk
  // stays full until `arm(None)`; the choices of `power_on` follow `seed`.
  void arm(Fault fault, std::uint64_t at, std::uint64_t seed, bool lying = false) {
    std::lock_guard lock(mutex_);
    fault_ = fault;
    left_ = at;
    random_.seed(seed);
    lying_ = lying;
    struck_ = false;
    unsynced_.clear();
  }
  bool struck() const {
    std::lock_guard lock(mutex_);
    return struck_;
  }
  // What the disk holds after the cut.
  void power_on() {
    std::lock_guard lock(mutex_);
    for (auto& [path, writes] : unsynced_) lose(path, writes);
    unsynced_.clear();
    fault_ = Fault::None;
    struck_ = false;
  }

 private:
  struct Write {  // a cut when `cut`
    sqlite3_int64 offset = 0, size_before = 0;
    std::string before, after;
    bool cut = false;
  };
  struct File {
    sqlite3_file base;
    sqlite3_file* real;
    const char* path;  // SQLite's, as long as the file is open
    bool kept;         // a database or its log; temporary files have nobody to miss them
  };

  FaultVfs() : real_(sqlite3_vfs_find(nullptr)), vfs_(*real_) {
    vfs_.zName = "bulkhead-faults";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    methods_.iVersion = 2;
    methods_.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
    methods_.xRead = [](sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
      return get().dead() ? SQLITE_IOERR_READ : real(f)->pMethods->xRead(real(f), to, n, at);
    };
    methods_.xWrite = write;
    methods_.xTruncate = truncate;
    methods_.xSync = sync;
    methods_.xFileSize = [](sqlite3_file* f, sqlite3_int64* n) {
      return real(f)->pMethods->xFileSize(real(f), n);
    };
    methods_.xLock = [](sqlite3_file* f, int l) { return real(f)->pMethods->xLock(real(f), l); };
    methods_.xUnlock = [](sqlite3_file* f, int l) { return real(f)->pMethods->xUnlock(real(f), l); };
    methods_.xCheckReservedLock = [](sqlite3_file* f, int* r) {
      return real(f)->pMethods->xCheckReservedLock(real(f), r);
    };
    methods_.xFileControl = [](sqlite3_file* f, int op, void* a) {
      return real(f)->pMethods->xFileControl(real(f), op, a);
    };
    methods_.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
    // None: a write may be torn and be overtaken by a later one.
    methods_.xDeviceCharacteristics = [](sqlite3_file*) { return 0; };
    methods_.xShmMap = [](sqlite3_file* f, int p, int n, int e, void volatile** m) {
      return real(f)->pMethods->xShmMap(real(f), p, n, e, m);
    };
    methods_.xShmLock = [](sqlite3_file* f, int o, int n, int l) {
      return real(f)->pMethods->xShmLock(real(f), o, n, l);
    };
    methods_.xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); };
    methods_.xShmUnmap = [](sqlite3_file* f, int d) { return real(f)->pMethods->xShmUnmap(real(f), d); };
  }

  static File* mine(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return mine(file)->real; }

  static int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out) {
    FaultVfs& self = get();
    File* made = mine(file);
    made->base.pMethods = nullptr;
    made->real = reinterpret_cast<sqlite3_file*>(made + 1);
    made->path = path;
    made->kept = path && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
    if (self.dead()) return SQLITE_CANTOPEN;
    int code = self.real_->xOpen(self.real_, path, made->real, flags, out);
    if (made->real->pMethods) made->base.pMethods = &self.methods_;
    return code;
  }
  static int remove(sqlite3_vfs*, const char* path, int sync_folder) {
    FaultVfs& self = get();
    if (self.dead()) return SQLITE_IOERR_DELETE;
    std::lock_guard lock(self.mutex_);
    self.unsynced_.erase(path);
    return self.real_->xDelete(self.real_, path, sync_folder);
  }
  static int write(sqlite3_file* file, const void* from, int bytes, sqlite3_int64 at) {
    FaultVfs& self = get();
    if (int code = self.strike(SQLITE_IOERR_WRITE)) return code;
    self.note(file, at, std::string(static_cast<const char*>(from), static_cast<std::size_t>(bytes)), false);
    return real(file)->pMethods->xWrite(real(file), from, bytes, at);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    FaultVfs& self = get();
    if (int code = self.strike(SQLITE_IOERR_TRUNCATE)) return code;
    self.note(file, size, "", true);
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  static int sync(sqlite3_file* file, int flags) {
    FaultVfs& self = get();
    if (int code = self.strike(SQLITE_IOERR_FSYNC)) return code;
    std::lock_guard lock(self.mutex_);
    if (!mine(file)->kept) return real(file)->pMethods->xSync(real(file), flags);
    std::string path = mine(file)->path;
    bool lie = self.lying_ && path.find("/tenants/") != std::string::npos;
    if (!lie) self.unsynced_.erase(path);
    return real(file)->pMethods->xSync(real(file), flags);
  }

  bool dead() const {
    std::lock_guard lock(mutex_);
    return fault_ == Fault::PowerCut && struck_;
  }
  // The code that the operation fails with; 0: it does not.
  int strike(int io_error) {
    std::lock_guard lock(mutex_);
    if (fault_ == Fault::None) return 0;
    if (struck_) return fault_ == Fault::IoError ? 0 : fault_ == Fault::DiskFull ? SQLITE_FULL : io_error;
    if (left_-- > 0) return 0;
    struck_ = true;
    return fault_ == Fault::DiskFull ? SQLITE_FULL : io_error;
  }
  void note(sqlite3_file* file, sqlite3_int64 at, std::string after, bool cut) {
    std::lock_guard lock(mutex_);
    if (fault_ != Fault::PowerCut || !mine(file)->kept) return;
    Write write{.offset = at, .after = std::move(after), .cut = cut};
    real(file)->pMethods->xFileSize(real(file), &write.size_before);
    sqlite3_int64 end = cut ? write.size_before : at + static_cast<sqlite3_int64>(write.after.size());
    end = std::min(end, write.size_before);
    if (end > at) {
      write.before.resize(static_cast<std::size_t>(end - at));
      real(file)->pMethods->xRead(real(file), write.before.data(), static_cast<int>(write.before.size()), at);
    }
    unsynced_[mine(file)->path].push_back(std::move(write));
  }

  // Takes all writes back, then makes those again that got through.
  void lose(const std::string& path, const std::vector<Write>& writes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    if (!file) return;
    for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
      put(file, write->offset, write->before);
      file.flush();
      std::filesystem::resize_file(path, static_cast<std::uintmax_t>(write->size_before));
    }
    enum Way { Nothing, Everything, Some };
    Way way = lying_ ? Nothing : static_cast<Way>(random_() % 3);
    for (const Write& write : writes) {
      if (way == Nothing || (way == Some && random_() % 2 == 0)) continue;
      // The last of them may be torn.
      bool torn = way == Some && &write == &writes.back() && write.after.size() > 1;
      if (write.cut) {
        if (static_cast<std::uintmax_t>(write.offset) < std::filesystem::file_size(path)) {
          std::filesystem::resize_file(path, static_cast<std::uintmax_t>(write.offset));
        }
      } else {
        put(file, write.offset, torn ? write.after.substr(0, write.after.size() / 2) : write.after);
      }
      file.flush();
    }
  }
  static void put(std::fstream& file, sqlite3_int64 at, const std::string& bytes) {
    if (bytes.empty()) return;
    file.seekp(at);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  mutable std::mutex mutex_;
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_;
  sqlite3_io_methods methods_{};
  Fault fault_ = Fault::None;
  std::uint64_t left_ = 0;
  bool lying_ = false, struck_ = false;
  std::mt19937_64 random_;
  std::map<std::string, std::vector<Write>> unsynced_;
};

}  // namespace bulkhead::storage
