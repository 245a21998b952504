// A store's file opened behind the code's back, as somebody with the database key and any SQL could.
#pragma once

#include <gtest/gtest.h>
#define SQLITE_HAS_CODEC 1
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace bulkhead::storage {

class RawDatabase {
 public:
  RawDatabase(const std::filesystem::path& path, const base::Secret* key) {
    EXPECT_EQ(sqlite3_open(path.c_str(), &handle_), SQLITE_OK);
    if (key) {
      const std::string form = "x'" + base::hex_encode(key->reveal()) + "'";
      EXPECT_EQ(sqlite3_key_v2(handle_, "main", form.data(), static_cast<int>(form.size())), SQLITE_OK);
    }
  }
  RawDatabase(const RawDatabase&) = delete;
  ~RawDatabase() { sqlite3_close(handle_); }

  // Runs `sql` with blobs bound to ?1, ?2, ...; gives the first column of every row.
  std::vector<std::string> run(const std::string& sql, const std::vector<std::string>& blobs = {}) {
    std::vector<std::string> column;
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr), SQLITE_OK)
        << sqlite3_errmsg(handle_);
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      sqlite3_bind_blob(statement, static_cast<int>(i + 1), blobs[i].data(),
                        static_cast<int>(blobs[i].size()), SQLITE_TRANSIENT);
    }
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      const auto* data = static_cast<const char*>(sqlite3_column_blob(statement, 0));
      column.emplace_back(data ? data : "", static_cast<std::size_t>(sqlite3_column_bytes(statement, 0)));
    }
    EXPECT_EQ(code, SQLITE_DONE) << sqlite3_errmsg(handle_);
    sqlite3_finalize(statement);
    return column;
  }

 private:
  sqlite3* handle_ = nullptr;
};

inline std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  // In one piece: byte by byte takes minutes on an instrumented build.
  std::string bytes(in ? static_cast<std::size_t>(in.tellg()) : 0, '\0');
  in.seekg(0);
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

// The names of files under `folder` that hold any of `words`, byte for byte, in any case.
inline std::vector<std::string> files_holding(const std::filesystem::path& folder,
                                              const std::vector<std::string>& words) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::string bytes = bytes_of(entry.path());
    for (char& c : bytes) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (const std::string& word : words) {
      if (bytes.find(word) != std::string::npos)
        found.push_back(entry.path().filename().string() + ": " + word);
    }
  }
  return found;
}

}  // namespace bulkhead::storage
