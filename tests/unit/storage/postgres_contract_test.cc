// The contract of every backend, against PostgreSQL in its three layouts.
#include "postgres_server.h"
#include "store_rotation_contract.h"

namespace bulkhead::storage {
namespace {

template <PostgresLayout layout>
class PostgresUnderTest : public PostgresPlatform {
 public:
  PostgresUnderTest() : PostgresPlatform(layout) {}
  TestPlatform& deployment() { return platform; }
};

using Layouts =
    ::testing::Types<PostgresUnderTest<PostgresLayout::Schema>, PostgresUnderTest<PostgresLayout::Database>,
                     PostgresUnderTest<PostgresLayout::RowLevelSecurity>>;
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, StoreContract, Layouts);
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, StoreRotationContract, Layouts);

}  // namespace
}  // namespace bulkhead::storage
