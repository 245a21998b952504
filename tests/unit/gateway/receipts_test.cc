// What a receipt says is what the engine's report says: its figures, and nothing where there are none.
#include "gateway/receipts.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "tenancy/support.h"

namespace bulkhead::gateway {
namespace {

class Receipts : public tenancy::DirectoryTest {
 protected:
  Receipts() { create("acme"); }
  std::string receipt_of(std::optional<base::BurnReport> report, bool engine_used = true) {
    BurnFacts facts;
    facts.request_id = "req_1";
    facts.action = "chat.create";
    facts.engine = std::move(report);
    facts.engine_used = engine_used;
    ReceiptBook book(signer, clock);
    const tenancy::TenantScope scope = open("acme");
    book.add(scope, std::move(facts));
    return book.find(scope, "req_1").value_or("");
  }
  static base::json::Document parsed(const std::string& text) { return *base::json::Document::parse(text); }
  static base::BurnReport good() {
    base::BurnReport report{
        .engine = "worker", .rows = base::RowsFate::Zeroed, .reuse = base::RowsReuse::None};
    report.add({.memory = base::Memory::KvRows, .bytes = 4'096, .read_back = 4'096});
    report.add({.memory = base::Memory::Compute, .bytes = 512, .read_back = 512});
    return report;
  }
};

TEST_F(Receipts, HoldTheReportAsItIsAndAreSigned) {
  const std::string text = receipt_of(good());
  EXPECT_TRUE(verify_receipt(text, signer.verify_key()));
  auto document = parsed(text);
  EXPECT_EQ(document.root()["engine"]["verified"].as_bool(), true);
  EXPECT_EQ(base::read_burn_report(document.root()["engine"]["report"]), good());
}

TEST_F(Receipts, ListWhatWasClearedAndNothingElse) {
  auto cleared = [](const std::string& text) {
    auto document = parsed(text);
    std::string names;
    for (std::size_t i = 0; i < document.root()["engine"]["report"]["cleared"].size(); ++i) {
      names += std::string(*document.root()["engine"]["report"]["cleared"].at(i)["memory"].as_string()) + " ";
    }
    return names;
  };
  EXPECT_EQ(cleared(receipt_of(good())), "kv_rows compute ");
  base::BurnReport rows_only = good();
  rows_only.cleared.pop_back();
  EXPECT_EQ(cleared(receipt_of(rows_only)), "kv_rows ")
      << "rows read back as zeros say nothing of other buffers";
}

TEST_F(Receipts, SayWhatFailedWasSkippedOrIsNotKnown) {
  auto engine = [](const std::string& text) {
    auto document = parsed(text);
    base::json::Writer w;
    w.copy(document.root()["engine"]);
    return w.take();
  };
  base::BurnReport failed = good();
  failed.rows = base::RowsFate::Failed;
  EXPECT_NE(engine(receipt_of(failed)).find(R"("verified":false,"report")"), std::string::npos);
  EXPECT_NE(engine(receipt_of(failed)).find(R"("rows":"failed")"), std::string::npos);
  base::BurnReport dirty = good();
  dirty.cleared[1].nonzero = 3;
  EXPECT_NE(engine(receipt_of(dirty)).find(R"("verified":false,"report")"), std::string::npos);
  base::BurnReport skipped{.engine = "worker", .rows = base::RowsFate::Skipped};
  EXPECT_NE(engine(receipt_of(skipped)).find(R"("rows":"skipped")"), std::string::npos);
  EXPECT_NE(engine(receipt_of(std::nullopt)).find(R"("verified":false,"note")"), std::string::npos);
  EXPECT_EQ(engine(receipt_of(std::nullopt, false)), R"({"used":false})");
}

}  // namespace
}  // namespace bulkhead::gateway
