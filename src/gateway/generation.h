// From a plan to an answer: engine, audit, burn, receipt; the second half of both generation routes.
//
// The order is the product's promise: the audit record is handed to the log, the engine starts while the
// record is being written, and no byte leaves before the record is durable.
#pragma once

#include "gateway/answer.h"
#include "gateway/chat_request.h"
#include "gateway/handlers.h"

namespace bulkhead::gateway {

struct Plan {
  AnswerHead head;
  engine::ChatRequest request;        // what the engine is asked
  std::vector<engine::Message> said;  // the client's own messages, for a chat that is kept
  StreamOptions stream_options;
  bool ask_engine = true;  // false: there is nothing in the documents to answer from
  bool store = false;
  std::string metadata_json = "{}";
};

// What a cut request is answered with, and an engine's error in that light: the engine's word on a cut
// request is "cancelled"; the reason is ours to tell.
base::Error cancelled(const Call& call);
base::Error explained(const Call& call, base::Error error);

// What the policy decides before anything else is done with a request.
base::Result<void> check_policy(const Call& call, const engine::ChatRequest& request);

// Fills in the audit record's request side.
void describe_request(Call& call, const engine::ChatRequest& request, std::size_t tools);

HandlerResult answer(Call& call, Plan plan);

}  // namespace bulkhead::gateway
