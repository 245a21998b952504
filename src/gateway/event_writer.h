// EventWriter: the server-sent events of one streamed answer. The first failure to write is the
// client's going away. One request, its reactor.
#pragma once

#include <string>

#include "gateway/call.h"

namespace bulkhead::gateway {

class EventWriter {
 public:
  explicit EventWriter(Call& call) : call_(call) {}
  base::Task<base::Result<void>> start();
  base::Task<base::Result<void>> send(std::string payload);

 private:
  Call& call_;
};

}  // namespace bulkhead::gateway
