#include "gateway/put_on_record.h"

#include <gtest/gtest.h>

#include <string>

#include "base/ids.h"
#include "crypto/random.h"

namespace bulkhead::gateway {
namespace {

TEST(PutOnRecord, OnlyIdsOfTheFormThatWeMakeAreRecorded) {
  for (const std::string& made :
       {base::FileId::make(crypto::random_id()).str(), base::VectorStoreId::make(crypto::random_id()).str(),
        base::ChatId::make(crypto::random_id()).str(), base::ApiKeyId::make(crypto::random_id()).str(),
        base::FileId::make(crypto::random_public_id()).str()}) {
    EXPECT_TRUE(is_made_id(made)) << made;
    EXPECT_FALSE(is_made_id(made + std::string(20, 'a'))) << made;
    EXPECT_FALSE(is_made_id(made.substr(0, made.find_first_of("-_") + 5))) << made;
    EXPECT_FALSE(is_made_id(made.substr(0, made.size() - 1) + "A")) << made;
  }
  for (const char* text : {"", "the patient of ward seven", "file-", "file-my-secret", "vs_x", "user",
                           "file-aaaaaaaaaaaaaaaaaaaaaaaa\n1"}) {
    EXPECT_FALSE(is_made_id(text)) << text;
  }
}

}  // namespace
}  // namespace bulkhead::gateway
