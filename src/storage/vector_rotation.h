// VectorRotation: a secret orthogonal transform of one tenant's vectors in one embedding space. It keeps
// inner products, so that a database which holds only rotated vectors ranks as it would with the vectors
// themselves.
//
// It is no encryption. How near a tenant's passages are to each other stays visible, and whoever knows about
// as many pairs of a passage's vector and its rotated form as there are dimensions can solve for the
// transform; large clouds of vectors may be matched by their shapes without any pair. It keeps models that
// turn an embedding back into text from being of use to who reads the table and knows nothing else.
//
// Four rounds of: a keyed permutation, keyed changes of signs, Walsh-Hadamard transforms of blocks whose
// sizes are the powers of two that add up to the dimensions, each divided by the square root of its size. All
// of them are orthogonal. (Fast Johnson-Lindenstrauss transform: Ailon, Chazelle 2009.)
//
// The key is the tenant's blind-index key by HKDF-SHA-256 with info "bulkhead/v1/vector-rotation/<space>/
// <dimensions>", so that pairs known of one space are of no use in another. It stays through rotations of the
// tenant's other keys, and goes with the tenant's.
//
// Thread safety: immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "base/embedding_space.h"
#include "base/secret.h"

namespace bulkhead::storage {

class VectorRotation {
 public:
  // `key` is the tenant's blind-index key. Costs about as much as ten vectors to rotate.
  VectorRotation(const base::Secret& key, const base::EmbeddingSpace& space, std::size_t dimensions);
  ~VectorRotation();
  VectorRotation(VectorRotation&&) = default;
  // `vector` has the dimensions of the constructor.
  std::vector<float> apply(const std::vector<float>& vector) const;

 private:
  struct Round {
    std::vector<std::uint32_t> from;  // place i takes what was at from[i]
    std::vector<double> sign;
  };
  std::vector<Round> rounds_;
};

}  // namespace bulkhead::storage
