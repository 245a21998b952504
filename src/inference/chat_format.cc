#include "inference/chat_format.h"

#include "base/json.h"
#include "crypto/random.h"
#include "llama-common/chat.h"
#include "llama-common/log.h"
#include "llama.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr unsigned kMarkBits = 130;
constexpr unsigned kCallIdBits = 120;
constexpr std::size_t kNestingMax = 256;

Error bad_tools(const char* detail) {
  return Error(InferenceError::BadGrammar,
               "The tools or messages can't be laid out by this model's template.", detail);
}

// The library's grammar lets a model talk before it calls; a required call is what the answer begins with.
std::string only_calls(std::string grammar) {
  constexpr std::string_view kRoot = "root ::= ", kTalk = " until-";
  std::size_t root = grammar.starts_with(kRoot) ? 0 : grammar.find("\n" + std::string(kRoot));
  if (root == std::string::npos) return grammar;
  std::size_t line_end = std::min(grammar.find('\n', root + 1), grammar.size());
  std::size_t talk = grammar.find(kTalk, root);
  if (talk >= line_end) return grammar;
  std::size_t end = grammar.find_first_not_of("0123456789", talk + kTalk.size());
  if (end < line_end && grammar[end] == '?') grammar.erase(talk, end + 1 - talk);
  return grammar;
}

// The library's parser recurses by the nesting of what the model wrote, which a prompt can ask for.
bool nested_too_deep(const std::string& text) {
  std::size_t depth = 0;
  for (char c : text) {
    if (c == '[' || c == '{') {
      if (++depth > kNestingMax) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

class PegFormat final : public AnswerFormat {
 public:
  PegFormat(const common_chat_params& params, bool parallel) : syntax_(params), parallel_(parallel) {
    syntax_.parser.load(params.parser);
    syntax_.parse_tool_calls = true;
  }

  ParsedAnswer parse(const std::string& text, bool whole) const override {
    ParsedAnswer out;
    if (nested_too_deep(text)) {
      if (whole) out.content = text;
      return out;
    }
    try {
      common_chat_msg message = common_chat_parse(text, !whole, syntax_);
      out.content = std::move(message.content);
      if (!whole) return out;
      for (common_chat_tool_call& call : message.tool_calls) {
        if (call.id.empty()) call.id = "call_" + crypto::random_id(kCallIdBits);
        out.calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
        if (!parallel_) break;
      }
    } catch (const std::exception&) {
      // Cut off in the middle of a call, or no call at all: then it is text.
      if (whole) out.content = text;
    }
    return out;
  }

 private:
  common_chat_parser_params syntax_;
  bool parallel_;
};

// JSON text without the escapes that a template's own parser would undo after the cutting.
std::string unescaped(const std::string& text) {
  if (text.find('\\') == std::string::npos) return text;
  auto document = base::json::Document::parse(text);
  if (!document) return text;
  base::json::Writer w;
  w.copy(document->root());
  return w.take();
}

// Replaces every reserved text inside client text, so that no tokenizer sees it whole.
class Cutter {
 public:
  Cutter(const TextSet& reserved, Frame& frame) : reserved_(reserved), frame_(frame) {}

  std::string operator()(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t bytes = reserved_.longest_at(text, at);
      if (bytes == 0) {
        out += text[at++];
        continue;
      }
      // The whole of it becomes a mark; its characters come back as content.
      frame_.marked.push_back({ChatFormat::new_mark(), text.substr(at, bytes), false});
      out += frame_.marked.back().mark;
      at += bytes;
    }
    return out;
  }

 private:
  const TextSet& reserved_;
  Frame& frame_;
};

class CommonFormat final : public ChatFormat {
 public:
  CommonFormat(common_chat_templates_ptr templates, const TextSet& reserved)
      : templates_(std::move(templates)), reserved_(reserved) {
    auto caps = common_chat_templates_get_caps(templates_.get());
    takes_tools_ = caps["supports_tools"] || caps["supports_tool_calls"];
  }

  bool takes_tools() const override { return takes_tools_; }

  Result<Frame> frame(const std::vector<ChatMessage>& messages) const override {
    try {
      Frame frame;
      common_chat_templates_inputs inputs = lay_out(messages, frame);
      inputs.force_pure_content = true;
      frame.text = common_chat_templates_apply(templates_.get(), inputs).prompt;
      return frame;
    } catch (const std::exception& error) {
      return bad_tools(error.what());
    }
  }

  Result<ToolPrompt> with_tools(const std::vector<ChatMessage>& messages,
                                const ToolRequest& request) const override {
    try {
      ToolPrompt out;
      // Once with marks, for the prompt; once with the tools as they are, for grammar and parser, which
      // are about the names and schemas themselves.
      common_chat_templates_inputs marked = lay_out(messages, out.frame);
      common_chat_templates_inputs plain = marked;
      Cutter cut(reserved_, out.frame);
      for (const Tool& tool : request.tools) {
        if (named(request) && tool.name != request.choice) continue;
        marked.tools.push_back({cut(tool.name), cut(tool.description), cut(unescaped(tool.parameters))});
        plain.tools.push_back({tool.name, tool.description, tool.parameters});
      }
      marked.tool_choice = plain.tool_choice = choice_of(request);
      marked.parallel_tool_calls = plain.parallel_tool_calls = request.parallel;
      out.frame.text = common_chat_templates_apply(templates_.get(), marked).prompt;
      common_chat_params params = common_chat_templates_apply(templates_.get(), plain);
      BULKHEAD_TRY(constraint, constraint_of(params, choice_of(request)));
      out.constraint = std::move(constraint);
      out.stops = params.additional_stops;
      out.shown = params.preserved_tokens;
      out.format = std::make_shared<PegFormat>(params, request.parallel);
      return out;
    } catch (const std::exception& error) {
      return bad_tools(error.what());
    }
  }

 private:
  static bool named(const ToolRequest& request) {
    return request.choice != "auto" && request.choice != "none" && request.choice != "required";
  }
  static common_chat_tool_choice choice_of(const ToolRequest& request) {
    if (request.choice == "auto") return COMMON_CHAT_TOOL_CHOICE_AUTO;
    if (request.choice == "none") return COMMON_CHAT_TOOL_CHOICE_NONE;
    return COMMON_CHAT_TOOL_CHOICE_REQUIRED;
  }

  static Result<Constraint> constraint_of(const common_chat_params& params, common_chat_tool_choice choice) {
    Constraint out;
    if (params.grammar.empty()) return out;
    BULKHEAD_TRY(grammar,
                 Grammar::compile(choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED ? only_calls(params.grammar)
                                                                             : params.grammar));
    out.grammar = std::move(grammar);
    out.lazy = params.grammar_lazy;
    for (const common_grammar_trigger& trigger : params.grammar_triggers) add_trigger(trigger, out);
    if (!out.lazy) out.accepted = params.generation_prompt;
    return out;
  }

  static void add_trigger(const common_grammar_trigger& trigger, Constraint& out) {
    Trigger made;
    const bool whole = trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL;
    if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) {
      made.word = trigger.value;
    } else if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN || whole) {
      made.pattern.emplace(whole ? "^" + trigger.value + "$" : trigger.value);
      made.from_the_start = whole || trigger.value.starts_with('^');
    } else {
      return;
    }
    out.triggers.push_back(std::move(made));
  }

  common_chat_templates_inputs lay_out(const std::vector<ChatMessage>& messages, Frame& frame) const {
    common_chat_templates_inputs inputs;
    inputs.use_jinja = true;
    inputs.enable_thinking = false;
    Cutter cut(reserved_, frame);
    for (const ChatMessage& message : messages) {
      common_chat_msg& laid = inputs.messages.emplace_back();
      laid.role = message.role;
      laid.tool_call_id = cut(message.tool_call_id);
      if (!message.content.empty()) {
        frame.marked.push_back({new_mark(), message.content});
        laid.content = frame.marked.back().mark;
      }
      for (const ToolCall& call : message.tool_calls) {
        laid.tool_calls.push_back({cut(call.name), cut(unescaped(call.arguments)), cut(call.id)});
      }
    }
    return inputs;
  }

  common_chat_templates_ptr templates_;
  const TextSet& reserved_;
  bool takes_tools_ = false;
};

}  // namespace

std::string ChatFormat::new_mark() { return kMarkBegin + crypto::random_id(kMarkBits); }

Result<std::unique_ptr<ChatFormat>> ChatFormat::make(const llama_model* model,
                                                     const std::string& chat_template,
                                                     const TextSet& reserved) {
  // Its warnings quote prompts and answers.
  common_log_set_verbosity_thold(-1);
  try {
    auto templates = common_chat_templates_init(model, chat_template);
    return std::unique_ptr<ChatFormat>(std::make_unique<CommonFormat>(std::move(templates), reserved));
  } catch (const std::exception& error) {
    return Error(InferenceError::Unsupported, "The model's chat template can't be read.", error.what());
  }
}

}  // namespace bulkhead::inference
