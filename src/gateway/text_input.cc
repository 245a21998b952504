#include "gateway/text_input.h"

#include "gateway/api_error.h"

namespace bulkhead::gateway {

using base::Result;

namespace {

void add_findings(guard::TextFindings& sum, const guard::TextFindings& more) {
  sum.zero_width += more.zero_width;
  sum.bidi_controls += more.bidi_controls;
  sum.tag_characters += more.tag_characters;
  sum.mixed_script_words += more.mixed_script_words;
  sum.control_tokens += more.control_tokens;
}

}  // namespace

Result<std::string> clean_text(std::string_view text, const std::string& name,
                               guard::TextFindings& findings) {
  auto checked = guard::check_text(text, guard::SmugglingPolicy::Clean);
  if (!checked) {
    base::Error error = checked.take_error();
    return std::move(error).with_parameter(name);
  }
  add_findings(findings, checked->findings);
  return std::move(checked->text);
}

Result<std::string> clean_input(std::string_view text, const std::string& name) {
  if (text.empty()) return api_error(ApiError::BadParameter, "'" + name + "' is empty.", name);
  guard::TextFindings ignored;
  return clean_text(text, name, ignored);
}

void record_inputs(Call& call, const std::string& model, const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += std::to_string(text.size()) + "\n" + text;
  call.record.model = model;
  call.record.prompt_hash = call.scope().audit_hash(all);
  audit::Record started = call.record;
  started.event = audit::Event::RequestStarted;
  started.decision = "allow";
  call.started = call.services.audit.append(started);
}

}  // namespace bulkhead::gateway
