// Why an issuer or one of its tokens works here or not, for operators at a terminal: the same steps as at the
// gateway, by the same functions, each with its outcome. What it says may hold the token's claims; it is for
// who has the token, never for a log or an answer.
//
// Thread safety: plain functions; awaited on a reactor. They ask the issuer over the network.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/task.h"
#include "identity/issuer_config.h"
#include "identity/key_work.h"

namespace bulkhead::identity {

struct Finding {
  enum class Outcome { Fine, Wrong, Note } outcome = Outcome::Note;
  std::string subject;  // "signature"
  std::string text;     // one line, printable
};
using Findings = std::vector<Finding>;
// True when nothing is wrong.
bool all_fine(const Findings& findings);

// The configuration, discovery, and each key of the set.
base::Task<Findings> explain_issuer(IssuerConfig issuer, std::shared_ptr<KeyWork> work);

// The token's way through `issuers` up to who it is, or to what stops it. Whether the tenant exists here is
// not looked at.
base::Task<Findings> explain_token(std::string token, std::vector<IssuerConfig> issuers,
                                   const base::Clock& clock, std::shared_ptr<KeyWork> work);

}  // namespace bulkhead::identity
