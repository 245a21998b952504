// A GGUF model: loading (pinned by hash), tokenising, the chat template.
//
// Reserved tokens belong to the template alone: the template is rendered around unguessable marks
// (chat_format.h), its own text is tokenised with special tokens on, what stands in the marks' stead as
// content (content_tokenizer.h, AISVS 2.1.7). So "<|im_start|>" in a message or document is plain characters.
// Thread safety: immutable after load.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/chat_format.h"
#include "inference/content_tokenizer.h"
#include "inference/error.h"
#include "inference/request.h"
#include "llama.h"

namespace bulkhead::inference {

enum class ModelKind { Chat, Embedding, Rerank };

struct ModelFile {
  std::string id;
  std::filesystem::path path;
  std::string sha256;                   // empty: not checked
  std::filesystem::path chat_template;  // empty: the model's own
};

// A model's files, open and not parsed yet: what is hashed is what is loaded, whatever happens to the names
// meanwhile, and the sandbox can be entered in between.
class OpenModelFile {
 public:
  static base::Result<OpenModelFile> open(const ModelFile& file);

 private:
  friend class Model;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  ModelFile names_;
  std::unique_ptr<std::FILE, Close> file_;
  std::string chat_template_;  // empty: the model's own
};

// A chat with tools, ready to be generated from.
struct ToolChat {
  Tokens prompt;
  Constraint constraint;
  std::vector<std::string> stops;
  std::unordered_set<Token> shown;
  std::shared_ptr<const AnswerFormat> format;
};

class Model {
 public:
  static base::Result<std::unique_ptr<Model>> load(OpenModelFile file, ModelKind kind, int gpu_layers);
  ~Model();

  llama_model* handle() const { return model_; }
  const llama_vocab* vocab() const { return vocab_; }
  const std::string& id() const { return id_; }
  const std::string& sha256() const { return sha256_; }
  std::int64_t trained_context() const;

  // Text as content: no special tokens, and no reserved one made of it.
  Tokens tokenize_content(std::string_view text) const { return content_->tokenize(text); }
  // For embedding models: content between the model's own begin and end tokens.
  Tokens tokenize_for_embedding(std::string_view text) const { return content_->tokenize_whole(text); }
  const ContentTokenizer& content() const { return *content_; }
  // For cross-encoders: query and document, joined by the tokens that the vocabulary joins them with.
  Tokens tokenize_pair(const Tokens& query, std::string_view document) const;
  base::Result<Tokens> tokenize_chat(const std::vector<ChatMessage>& messages) const;
  base::Result<ToolChat> prepare_tools(const std::vector<ChatMessage>& messages,
                                       const ToolRequest& request) const;
  // A text to go on from: content after the model's own begin token.
  Tokens tokenize_completion(std::string_view text) const;
  // Bytes of one token; may be part of a character. Control tokens are empty unless `control`.
  std::string piece(llama_token token, bool control = false) const;
  bool ends_generation(llama_token token) const;
  // No token stands for more bytes of text than this: what a text's tokens are at least, from its bytes
  // alone.
  std::size_t token_bytes_max() const { return token_bytes_max_; }

 private:
  Model() = default;
  // The template's own text.
  Tokens tokenize_template(std::string_view text, bool add_special) const {
    return tokenize_raw(vocab_, text, add_special, true);
  }
  base::Result<Tokens> tokenize_frame(const Frame& frame) const;
  base::Result<Frame> known_frame(const std::vector<ChatMessage>& messages) const;
  std::size_t longest_token(ModelKind kind) const;
  base::Result<void> prepare_chat(std::string chat_template);

  llama_model* model_ = nullptr;
  const llama_vocab* vocab_ = nullptr;
  std::string id_, sha256_, template_;
  std::size_t token_bytes_max_ = 0;
  bool known_template_ = false;  // one that llama.h renders by itself
  std::unique_ptr<ContentTokenizer> content_;
  std::unique_ptr<ChatFormat> format_;  // chat models with a template that can be rendered
};

}  // namespace bulkhead::inference
