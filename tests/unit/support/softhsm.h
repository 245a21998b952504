// A SoftHSM of a test's own: tokens in a folder that goes with the test. Keys are made and deleted by other
// programs, as a tenant would.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace bulkhead::test {

class SoftHsm {
 public:
  static constexpr const char* kModule = "/usr/lib/softhsm/libsofthsm2.so";

  SoftHsm() {
    std::string path = (std::filesystem::temp_directory_path() / "bulkhead-softhsm-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    folder = path;
    std::filesystem::create_directory(tokens());
    std::ofstream(folder / "softhsm2.conf") << "directories.tokendir = " << tokens().string()
                                            << "\nobjectstore.backend = file\nlog.level = ERROR\n";
    // Read when the module is initialised, in this process and in the tools.
    ::setenv("SOFTHSM2_CONF", (folder / "softhsm2.conf").c_str(), 1);
  }
  ~SoftHsm() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  SoftHsm(const SoftHsm&) = delete;

  std::filesystem::path tokens() const { return folder / "tokens"; }

  // What the command printed; the test fails when it fails.
  static std::string run(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    std::string out;
    char piece[4096];
    for (std::size_t got; (got = std::fread(piece, 1, sizeof piece, pipe)) > 0;) out.append(piece, got);
    EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << out;
    return out;
  }

  void make_token(const std::string& label, const std::string& pin = "7788") const {
    run("softhsm2-util --init-token --free --label " + label + " --so-pin 112233 --pin " + pin);
  }
  static std::string tool(const std::string& label, const std::string& arguments,
                          const std::string& pin = "7788") {
    return run(std::string("pkcs11-tool --module ") + kModule + " --token-label " + label +
               " --login --pin " + pin + " " + arguments);
  }
  static void make_key(const std::string& token, const std::string& key,
                       const std::string& traits = "--key-type AES:32 --sensitive") {
    tool(token, "--keygen --label " + key + " " + traits);
  }
  static void delete_key(const std::string& token, const std::string& key) {
    tool(token, "--delete-object --type secrkey --label " + key);
  }

  std::filesystem::path pin_file(const std::string& pin = "7788", const std::string& name = "pin") const {
    const std::filesystem::path file = folder / name;
    // Another file each time, as an editor makes it: its state differs even within one tick of the clock.
    const std::filesystem::path fresh = folder / (name + ".new");
    std::ofstream(fresh) << pin << "\n";
    ::chmod(fresh.c_str(), 0600);
    std::filesystem::rename(fresh, file);
    return file;
  }

  std::filesystem::path folder;
};

}  // namespace bulkhead::test
