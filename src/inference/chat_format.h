// The model's own chat template with tools: how tools are laid into the prompt, how a call must look, and
// how calls are read back out of the answer. Built on llama.cpp's common library, which knows the formats
// of the models it serves; its types stay inside the .cc file.
//
// Text of clients never becomes a reserved token (content_tokenizer.h): message contents stand as unguessable
// marks while the template is rendered, and reserved texts inside names, descriptions, schemas and arguments
// are cut out and replaced by marks of their own (see Model::tokenize_frame).
// Thread safety: immutable after make.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "inference/constraint.h"
#include "inference/error.h"
#include "inference/text_set.h"

struct llama_model;

namespace bulkhead::inference {

struct ToolCall {
  std::string id, name, arguments;  // arguments: JSON text
};

struct ChatMessage {
  std::string role, content;
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;
};

struct Tool {
  std::string name, description, parameters;  // parameters: JSON text of a schema
};

struct ToolRequest {
  std::vector<Tool> tools;
  std::string choice = "auto";  // "auto", "none", "required", or a tool's name
  bool parallel = true;         // false: one call an answer at most
};

struct ParsedAnswer {
  std::string content;
  std::vector<ToolCall> calls;
};

// How answers to one request are read.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // `whole`: the answer has ended. What looks like the beginning of a call is held back until then.
  virtual ParsedAnswer parse(const std::string& text, bool whole) const = 0;
};

// Client text that a mark stands for.
struct Marked {
  std::string mark, text;
  bool needed = true;  // a template that leaves it out can't be used
};

// A prompt as text with marks in it.
struct Frame {
  std::string text;
  std::vector<Marked> marked;
};

struct ToolPrompt {
  Frame frame;
  Constraint constraint;
  std::vector<std::string> stops, shown;  // shown: control tokens that are part of calls
  std::shared_ptr<const AnswerFormat> format;
};

class ChatFormat {
 public:
  // Unsupported when the template, a Jinja text, can't be read. `reserved` outlives it.
  static base::Result<std::unique_ptr<ChatFormat>> make(const llama_model* model,
                                                        const std::string& chat_template,
                                                        const TextSet& reserved);
  // A mark that stands for text; it is in no document and no vocabulary. All are of one length, and begin
  // with kMarkBegin.
  static constexpr const char* kMarkBegin = "zq";
  static std::string new_mark();
  virtual ~ChatFormat() = default;
  virtual bool takes_tools() const = 0;
  virtual base::Result<Frame> frame(const std::vector<ChatMessage>& messages) const = 0;
  virtual base::Result<ToolPrompt> with_tools(const std::vector<ChatMessage>& messages,
                                              const ToolRequest& request) const = 0;
};

}  // namespace bulkhead::inference
