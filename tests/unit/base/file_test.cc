#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace bulkhead::base {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bulkhead-file-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(dir_); }
  fs::path put(const std::string& name, std::string_view content, unsigned mode) {
    fs::path path = dir_ / name;
    std::ofstream(path) << content;
    ::chmod(path.c_str(), mode);
    return path;
  }
  static unsigned mode_of(const fs::path& path) {
    struct stat info{};
    ::stat(path.c_str(), &info);
    return info.st_mode & 0777;
  }
  fs::path dir_;
};

TEST_F(FileTest, ReadsUpToItsBound) {
  fs::path path = put("f", "12345", 0644);
  EXPECT_EQ(*read_file(path, 5), "12345");
  EXPECT_EQ(*read_file(path, SIZE_MAX), "12345");
  EXPECT_TRUE(read_file(path, 4).error().is(FileError::TooLarge));
  EXPECT_TRUE(read_file(dir_ / "none", 4).error().is(FileError::NotFound));
  EXPECT_EQ(*read_file(put("e", "", 0644), 0), "");
  std::string large(200'000, 'x');
  EXPECT_EQ(*read_file(put("l", large, 0644), 200'000), large);
  EXPECT_TRUE(read_file(dir_ / "l", 199'999).error().is(FileError::TooLarge));
}

TEST_F(FileTest, ReadsASecretOfItsOwnerOnly) {
  EXPECT_EQ(read_secret_file(put("s", "key\n", 0600), 10)->reveal_text(), "key");
  EXPECT_EQ(read_secret_file(put("n", "key\n\n", 0400), 10)->reveal_text(), "key\n");
  EXPECT_TRUE(read_secret_file(put("e", "", 0600), 10)->empty());
  for (unsigned mode : {0640u, 0604u, 0660u, 0610u, 0644u}) {
    auto refused = read_secret_file(put("s", "key\n", mode), 10);
    ASSERT_FALSE(refused) << mode;
    EXPECT_TRUE(refused.error().is(FileError::TooOpen));
    EXPECT_EQ(refused.error().message().find(dir_.string()), std::string::npos) << "paths are detail";
  }
  EXPECT_TRUE(read_secret_file(put("s", "12345678901", 0600), 10).error().is(FileError::TooLarge));
}

TEST_F(FileTest, RefusesSecretsThatAreNotPlainFiles) {
  fs::path real = put("real", "key", 0600);
  ASSERT_TRUE(read_secret_file(real, 10)) << "control";
  fs::create_symlink(real, dir_ / "link");
  EXPECT_TRUE(read_secret_file(dir_ / "link", 10).error().is(FileError::TooOpen));
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(read_secret_file(dir_ / "pipe", 10).error().is(FileError::TooOpen)) << "must not hang";
  EXPECT_FALSE(read_secret_file(dir_, 10));
  EXPECT_TRUE(read_secret_file(dir_ / "none", 10).error().is(FileError::NotFound));
}

TEST_F(FileTest, RefusesSecretsOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  fs::path path = put("s", "key", 0600);
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
  EXPECT_TRUE(read_secret_file(path, 10).error().is(FileError::TooOpen));
}

TEST_F(FileTest, ReplacesWholeFiles) {
  fs::path path = dir_ / "state";
  ASSERT_TRUE(write_file_atomically(path, "old"));
  EXPECT_EQ(mode_of(path), 0600u);
  int before = ::open(path.c_str(), O_RDONLY);
  ASSERT_TRUE(write_file_atomically(path, std::string(100'000, 'n'), 0640));
  EXPECT_EQ(mode_of(path), 0640u);
  EXPECT_EQ(read_file(path, 1 << 20)->size(), 100'000u);
  char text[4] = {};
  EXPECT_EQ(::read(before, text, 3), 3);
  EXPECT_STREQ(text, "old") << "a reader that had it open still sees the old one whole";
  ::close(before);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1) << "no temporary file is left";
}

TEST_F(FileTest, AFailedWriteLeavesNothing) {
  EXPECT_FALSE(write_file_atomically(dir_ / "none" / "state", "x"));
  fs::create_directory(dir_ / "folder");
  EXPECT_FALSE(write_file_atomically(dir_ / "folder", "x")) << "can't replace a folder";
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), {}), 1);
}

TEST_F(FileTest, PrivateDirectories) {
  ASSERT_TRUE(make_private_directory(dir_ / "a" / "b" / "c"));
  EXPECT_EQ(mode_of(dir_ / "a"), 0700u);
  EXPECT_EQ(mode_of(dir_ / "a" / "b" / "c"), 0700u);
  EXPECT_TRUE(make_private_directory(dir_ / "a" / "b" / "c")) << "again";
  ::chmod((dir_ / "a").c_str(), 0770);
  EXPECT_TRUE(make_private_directory(dir_ / "a").error().is(FileError::TooOpen));
  ::chmod((dir_ / "a").c_str(), 0750);
  EXPECT_TRUE(make_private_directory(dir_ / "a")) << "control: readable by the group is fine";
  put("file", "x", 0600);
  EXPECT_FALSE(make_private_directory(dir_ / "file"));
}

}  // namespace
}  // namespace bulkhead::base
