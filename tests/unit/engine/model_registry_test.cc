// The table of models: what a restart keeps and what the configuration file overrides.
#include "engine/model_registry.h"

#include <gtest/gtest.h>

namespace bulkhead::engine {
namespace {

ModelVersion version(std::string id, char digit, std::string path = "/models/a.gguf") {
  ModelVersion made;
  made.id = std::move(id);
  made.path = std::move(path);
  made.sha256 = std::string(64, digit);
  made.origin = "example";
  made.licence = "MIT";
  made.loaded_by = "key-1";
  made.loaded_at = 7;
  return made;
}

ModelTable reread(const ModelTable& table) {
  auto read = ModelTable::from_json(table.to_json());
  EXPECT_TRUE(read.ok());
  return std::move(*read);
}

TEST(ModelTable, KeepsAddedModelsAndRunningRollOuts) {
  ModelTable table;
  ModelEntry entry;
  entry.current = version("side", 'a');
  entry.next = version("side", 'b');
  entry.next_share = 0.25;
  table.put(entry);
  ModelTable after;
  after.add_saved(reread(table));
  const ModelEntry* found = after.find("side");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->current.sha256, std::string(64, 'a'));
  EXPECT_EQ(found->next->sha256, std::string(64, 'b'));
  EXPECT_EQ(found->next_share, 0.25);
  EXPECT_EQ(found->current.loaded_by, "key-1");
  EXPECT_EQ(found->current.loaded_at, 7);
}

TEST(ModelTable, AConfiguredModelThatWasReplacedStaysReplacedWhileTheFileSaysTheSame) {
  ModelTable first;
  first.add_configured(version("chat", 'a'), ModelTable());
  ModelEntry replaced = *first.find("chat");
  replaced.current = version("chat", 'b', "/models/b.gguf");
  first.put(replaced);
  ModelTable saved = reread(first);

  ModelTable same;
  same.add_configured(version("chat", 'a'), saved);
  EXPECT_EQ(same.find("chat")->current.sha256, std::string(64, 'b'));
  ModelTable edited;
  edited.add_configured(version("chat", 'c'), saved);
  EXPECT_EQ(edited.find("chat")->current.sha256, std::string(64, 'c')) << "an edited file wins";
}

TEST(ModelTable, AConfiguredModelThatWasNotChangedIsNotSaved) {
  ModelTable table;
  table.add_configured(version("chat", 'a'), ModelTable());
  EXPECT_TRUE(reread(table).all().empty());
  // A model that left the configuration file does not come back from the saved table.
  ModelEntry replaced = *table.find("chat");
  replaced.current = version("chat", 'b');
  table.put(replaced);
  ModelTable after;
  after.add_saved(reread(table));
  EXPECT_TRUE(after.all().empty());
}

TEST(ModelTable, ADamagedTableIsAnErrorNotAnEmptyOne) {
  for (const char* text :
       {"", "{}", "{\"format\":2,\"models\":[]}", "{\"format\":1,\"models\":[{}]}",
        "{\"format\":1,\"models\":[{\"current\":{\"id\":\"a\",\"path\":\"/m\",\"sha256\":\"zz\"}}]}"}) {
    EXPECT_FALSE(ModelTable::from_json(text).ok()) << text;
  }
  EXPECT_TRUE(ModelTable::from_json("{\"format\":1,\"models\":[]}").ok());
}

TEST(ModelNames, AreWhatCanStandInAPathAndALabel) {
  for (const char* id : {"a", "qwen2.5:7b", "all-minilm-l6-v2", "A_b"}) EXPECT_TRUE(valid_model_id(id)) << id;
  for (const char* id : {"", "-a", ".a", "a/b", "a b", "a@next", "a=b", "\"a"})
    EXPECT_FALSE(valid_model_id(id)) << id;
  EXPECT_TRUE(valid_model_id(std::string(96, 'a')));
  EXPECT_FALSE(valid_model_id(std::string(97, 'a')));
  EXPECT_TRUE(valid_sha256(std::string(64, 'f')));
  EXPECT_FALSE(valid_sha256(std::string(64, 'F')));
  EXPECT_FALSE(valid_sha256(std::string(63, 'f')));
}

}  // namespace
}  // namespace bulkhead::engine
