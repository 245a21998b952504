// A tenant's life on a disk that fails in the middle of it: seeded runs of uploads, deletions, kept chats,
// rotations and erasures, each struck by an I/O error, a full disk or a power cut at a seeded operation.
// Afterwards the store opens, everything that was acknowledged is there and whole, nothing that was deleted
// comes back, and what was under way is there wholly or not at all.
//
// FAULT_RUNS is the number of runs (a small one by default; `make faults` for many), FAULT_SEED the first.
#include <functional>
#include <optional>
#include <random>
#include <set>

#include "crypto/random.h"
#include "fault_vfs.h"
#include "storage/eraser.h"
#include "store_fixture.h"

namespace bulkhead::storage {
namespace {

using crypto::Purpose;

constexpr int kSteps = 24;
constexpr std::uint64_t kOperations = 700;  // about what so many steps write
const char* const kTenant = "a";

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// What may be found of a record. Both: an operation on it failed, so it is done or it isn't.
struct Expected {
  bool may_be_there = true, may_be_gone = false;
  std::set<std::size_t> chunks = {0};  // how many it may have
};

struct Model {
  std::map<std::string, Expected> files, chats, keys;
};

std::string content_of(const std::string& id) {
  std::size_t n = std::hash<std::string>{}(id);
  return std::string(1 + n % 90'000, static_cast<char>('a' + n % 26));
}

class Life {
 public:
  Life(const std::filesystem::path& folder, std::uint64_t seed)
      : data_(folder / "data"),
        random_(seed),
        signer_(must(crypto::SigningKey::from_seed(crypto::random_secret(32)))) {
    start();
    platform_->add_tenant(kTenant);
    for (int i = 0; i < 4; ++i) upload();
  }

  void start() {
    platform_.emplace(data_);
    upkeep_.emplace(*platform_->manager, *platform_->directory);
    eraser_.emplace(*platform_->platform, *platform_->directory, *upkeep_, signer_, platform_->clock);
  }
  void stop() {
    eraser_.reset();
    upkeep_.reset();
    platform_.reset();
  }

  void step() {
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2: return upload();
      case 3:
      case 4: return replace_chunks();
      case 5: return keep_chat();
      case 6: return delete_file();
      case 7: return make_key();
      case 8: return random_() % 2 ? rotate() : erase();
      default: platform_->manager->close(tenant_id(kTenant));
    }
  }

  // After the fault: what was begun is ended.
  void settle() {
    eraser_->resume([] { return false; });
    (void)upkeep_->run_once([] { return false; });
    if (!platform_->directory->keyring().rotating().empty()) wrong("a rotation did not end");
    if (!must(platform_->platform->pending_erasures()).empty()) wrong("an erasure did not end");
  }

  // What was found to be otherwise than it must be; empty when all is well. What is found settles doubts.
  std::vector<std::string> judge() {
    auto opened = platform_->manager->open(platform_->scope(kTenant));
    if (!opened) {
      wrong("the store does not open: " + opened.error().describe());
      return std::move(wrong_);
    }
    const auto scope = platform_->scope(kTenant);
    TenantStore& store = **opened;
    std::size_t files = 0;
    for (auto& [id, expected] : model_.files) {
      auto content = store.file_content(scope, file_id(id));
      files += found("file " + id, content, expected);
      if (!content) continue;
      if (*content != content_of(id)) wrong("file " + id + " has other content");
      std::size_t chunks = keys_of(store, scope, file_id(id)).size();
      if (!expected.chunks.contains(chunks))
        wrong("file " + id + " has " + std::to_string(chunks) + " chunks");
      if (store.search_text(scope, {"parental"}, {file_id(id)}, 100)->size() != chunks) {
        wrong("file " + id + ": the text index has other chunks than the table");
      }
      if (!store.get_chunks(scope, keys_of(store, scope, file_id(id))))
        wrong("chunks of " + id + " do not open");
      expected.chunks = {chunks};
    }
    for (auto& [id, expected] : model_.chats)
      found("chat " + id, store.get_chat(scope, chat_id(id)), expected);
    auto keys = must(store.list_api_keys(scope));
    for (auto& [id, expected] : model_.keys) {
      bool there = std::any_of(keys.begin(), keys.end(), [&](const auto& key) { return key.id.str() == id; });
      if (!(there ? expected.may_be_there : expected.may_be_gone)) wrong("API key " + id);
      expected = {.may_be_there = there, .may_be_gone = !there};
    }
    if (must(store.list_files(scope, {.limit = 100})).size() != files) wrong("a file that nobody uploaded");
    return std::move(wrong_);
  }

 private:
  // The outcome of an operation that makes (or removes) a record.
  void made(Expected& record, bool done) { record = {.may_be_there = true, .may_be_gone = !done}; }
  void removed(Expected& record, bool done) {
    record.may_be_there = record.may_be_there && !done;
    record.may_be_gone = true;
  }
  template <typename T>
  bool found(const std::string& what, const base::Result<T>& read, Expected& expected) {
    bool gone = !read && read.error().is(StorageError::NotFound);
    if (!read && !gone) {
      wrong(what + ": " + read.error().describe());
      return false;
    }
    if (gone && !expected.may_be_gone) wrong(what + " is lost");
    if (!gone && !expected.may_be_there) wrong(what + " has come back");
    expected.may_be_there = !gone;
    expected.may_be_gone = gone;
    return !gone;
  }
  void wrong(std::string what) { wrong_.push_back(std::move(what)); }

  std::string next(const char* kind) { return kind + std::to_string(++last_); }
  // Somewhere in the model; empty when there is none that must be there.
  std::string some_file() {
    std::vector<std::string> ids;
    for (const auto& [id, expected] : model_.files) {
      if (!expected.may_be_gone) ids.push_back(id);
    }
    return ids.empty() ? "" : ids[random_() % ids.size()];
  }
  template <typename Work>
  bool with_store(Work work) {
    auto scope = platform_->directory->open(test::principal(kTenant, "alice"));
    if (!scope) return false;
    auto store = platform_->manager->open(*scope);
    return store && work(**store, *scope).ok();
  }

  void upload() {
    std::string id = next("f");
    Expected& record = model_.files[id];
    made(record, with_store([&](TenantStore& store, const auto& scope) {
           return store.put_file(scope, sample_file(id), content_of(id));
         }));
  }
  void replace_chunks() {
    std::string id = some_file();
    if (id.empty()) return upload();
    std::size_t count = 1 + random_() % 20;
    bool done = with_store([&](TenantStore& store, const auto& scope) {
      return store.replace_chunks(scope, file_id(id), sample_chunks(id, count), sample_vectors(count));
    });
    std::set<std::size_t>& chunks = model_.files[id].chunks;
    if (done) chunks.clear();
    chunks.insert(count);
  }
  void delete_file() {
    std::string id = some_file();
    if (id.empty()) return upload();
    removed(model_.files[id], with_store([&](TenantStore& store, const auto& scope) {
              return store.delete_file(scope, file_id(id));
            }));
  }
  void keep_chat() {
    std::string id = next("c");
    ChatRecord chat{.id = chat_id(id)};
    chat.messages_json = content_of(id);
    made(model_.chats[id],
         with_store([&](TenantStore& store, const auto& scope) { return store.put_chat(scope, chat); }));
  }
  void make_key() {
    std::string id = next("k");
    made(model_.keys[id], with_store([&](TenantStore& store, const auto& scope) {
           return store.put_api_key(scope, {.id = key_id(id), .user = "alice"});
         }));
  }
  void rotate() {
    auto begun = upkeep_->rotate(tenant_id(kTenant),
                                 {.tenant_key = true, .purposes = {Purpose::Database, Purpose::RecordSeal}});
    if (begun) (void)upkeep_->run_once([this] { return random_() % 8 == 0; });
  }
  void erase() {
    std::string id = some_file();
    if (id.empty()) return;
    auto erased = eraser_->erase(tenant_id(kTenant), {.name = id, .requested_by = "operator"});
    removed(model_.files[id], erased.ok());
  }

  std::filesystem::path data_;
  std::mt19937_64 random_;
  crypto::SigningKey signer_;
  std::optional<TestPlatform> platform_;
  std::optional<Upkeep> upkeep_;
  std::optional<Eraser> eraser_;
  Model model_;
  int last_ = 0;
  std::vector<std::string> wrong_;
};

struct Outcome {
  bool struck = false;
  std::vector<std::string> wrong;
};

Outcome live(std::uint64_t seed, Fault fault, bool lying = false) {
  FaultVfs& disk = FaultVfs::get();
  disk.arm(Fault::None, 0, 0);
  TemporaryFolder folder;
  Life life(folder.path(), seed);
  disk.arm(fault, std::mt19937_64(seed)() % kOperations, seed, lying);
  Outcome outcome;
  for (int step = 0; step < kSteps && !(outcome.struck && fault == Fault::PowerCut); ++step) {
    life.step();
    outcome.struck = disk.struck();
  }
  if (fault == Fault::PowerCut) {
    life.stop();
    disk.power_on();
  } else {
    // The same process goes on when the disk works again.
    disk.arm(Fault::None, 0, 0);
    life.settle();
    outcome.wrong = life.judge();
    life.stop();
  }
  life.start();
  life.settle();
  for (std::string& more : life.judge()) outcome.wrong.push_back(std::move(more));
  return outcome;
}

// SQLite is started by the first database that is opened; the file layer can be put under it then.
void put_faults_under_sqlite() {
  TemporaryFolder folder;
  {
    TestPlatform starts_sqlite(folder.path() / "data");
  }
  FaultVfs::get().install();
}

class Faults : public ::testing::TestWithParam<Fault> {
 protected:
  static void SetUpTestSuite() { put_faults_under_sqlite(); }
  static void TearDownTestSuite() { FaultVfs::get().uninstall(); }
};

class FaultsControl : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { put_faults_under_sqlite(); }
  static void TearDownTestSuite() { FaultVfs::get().uninstall(); }
};

TEST_P(Faults, NothingAcknowledgedIsLostAndNothingIsHalf) {
  std::uint64_t runs = number_of("FAULT_RUNS", 12), first = number_of("FAULT_SEED", 1), struck = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    Outcome outcome = live(seed, GetParam());
    struck += outcome.struck;
    for (const std::string& wrong : outcome.wrong) ADD_FAILURE() << "seed " << seed << ": " << wrong;
    if (HasFailure()) return;
  }
  EXPECT_GE(struck * 3, runs) << "most runs ended before the fault: nothing was shown";
  std::printf("  %llu of %llu runs were struck\n", static_cast<unsigned long long>(struck),
              static_cast<unsigned long long>(runs));
}

std::string name_of(const testing::TestParamInfo<Fault>& info) {
  static const char* const kNames[] = {"None", "IoError", "DiskFull", "PowerCut"};
  return kNames[static_cast<std::size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Disk, Faults, testing::Values(Fault::IoError, Fault::DiskFull, Fault::PowerCut),
                         name_of);

// A disk that says it has written and has not: the same runs must find losses.
TEST_F(FaultsControl, ALyingDiskIsFoundOut) {
  std::size_t found = 0;
  for (std::uint64_t seed = 1; seed <= 40 && found == 0; ++seed) {
    found += live(seed, Fault::PowerCut, true).wrong.size();
  }
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace bulkhead::storage
