// Texts of a request that a model reads: checked by the text policy, and put on record.
// Thread safety: as the call's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/call.h"
#include "guard/text_policy.h"

namespace bulkhead::gateway {

// The text as the model gets it, smuggled characters taken out; what was found is added to `findings`. An
// error is about the parameter `name`.
base::Result<std::string> clean_text(std::string_view text, const std::string& name,
                                     guard::TextFindings& findings);
// The same for a text by itself (to embed, to rank), which may not be empty.
base::Result<std::string> clean_input(std::string_view text, const std::string& name);

// Puts the model and the keyed hash of the texts on record and begins the record that must be on disk before
// the answer. The hash is over each text's length and the text, so that no other list gives the same.
void record_inputs(Call& call, const std::string& model, const std::vector<std::string>& texts);

}  // namespace bulkhead::gateway
