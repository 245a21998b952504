// Feeds files to a fuzz target without the fuzzer: the ordinary test suite replays every corpus with
// it, in any build. Takes files and folders; fails when there is nothing to replay.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

bool replay(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return false;
  std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  // Named before it runs: a target that aborts has said on which seed.
  std::fprintf(stderr, "%s\n", file.c_str());
  // An allocation of exactly the size, so that a sanitizer sees the first byte read past the end.
  std::string exact(content.data(), content.size());
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(exact.data()), exact.size());
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t replayed = 0;
  for (int i = 1; i < count; ++i) {
    std::filesystem::path path = arguments[i];
    if (!std::filesystem::is_directory(path)) {
      replayed += replay(path);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) replayed += replay(entry.path());
    }
  }
  std::fprintf(stderr, "%zu seeds replayed\n", replayed);
  return replayed > 0 ? 0 : 1;
}
