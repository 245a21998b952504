// Token ids, without llama.h.
#pragma once

#include <cstdint>
#include <vector>

namespace bulkhead::inference {

using Token = std::int32_t;  // llama_token
using Tokens = std::vector<Token>;

}  // namespace bulkhead::inference
