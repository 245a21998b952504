// The contract of every backend, against PostgreSQL in its three layouts, searching in the gateway's memory
// and with pgvector.
#include "postgres_server.h"
#include "store_rotation_contract.h"
#include "store_search_contract.h"

namespace bulkhead::storage {
namespace {

template <PostgresLayout layout, PostgresVectors vectors = PostgresVectors::Sealed>
class PostgresUnderTest : public PostgresPlatform {
 public:
  PostgresUnderTest() : PostgresPlatform(layout, vectors) {}
  TestPlatform& deployment() { return platform; }
};

using Layouts =
    ::testing::Types<PostgresUnderTest<PostgresLayout::Schema>, PostgresUnderTest<PostgresLayout::Database>,
                     PostgresUnderTest<PostgresLayout::RowLevelSecurity>,
                     PostgresUnderTest<PostgresLayout::Schema, PostgresVectors::Pgvector>,
                     PostgresUnderTest<PostgresLayout::Database, PostgresVectors::Pgvector>,
                     PostgresUnderTest<PostgresLayout::RowLevelSecurity, PostgresVectors::Pgvector>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, StoreContract, Layouts);
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, StoreRotationContract, Layouts);
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, StoreSearchContract, Layouts);

}  // namespace
}  // namespace bulkhead::storage
