// ContentTokenizer: text of clients and documents as tokens, none of which a template could have written
// (AISVS 2.1.7).
//
// A token is reserved when its type is not that of ordinary text (control, user-defined, unknown, unused), or
// when its text is markup ("<|im_start|>", "<tool_call>", "[INST]") or stands in the chat template with
// a bracket in it, whatever its type: vocabularies give turn markers any of these types. llama.cpp keeps only
// control and unknown tokens out of content. So content is cut inside each reserved text that stands in it,
// after the first character, and the pieces are tokenised apart; their texts together are the content, byte
// for byte. White space and single characters are text under any type.
//
// Thread safety: immutable. The vocabulary outlives it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/error.h"
#include "inference/text_set.h"
#include "inference/tokens.h"
#include "llama.h"

namespace bulkhead::inference {

class ContentTokenizer {
 public:
  // `chat_template`: its source; empty for models without. Unsupported when the vocabulary has a reserved
  // token that cutting does not keep out: each is tried.
  static base::Result<std::unique_ptr<ContentTokenizer>> make(const llama_vocab* vocab,
                                                              std::string_view chat_template);

  // No tokens of the vocabulary's own around it.
  Tokens tokenize(std::string_view text) const;
  // Between the begin and end tokens that the vocabulary puts around a text.
  Tokens tokenize_whole(std::string_view text) const;
  bool reserved(Token token) const { return reserved_[static_cast<std::size_t>(token)]; }
  const TextSet& reserved_texts() const { return texts_; }

 private:
  explicit ContentTokenizer(const llama_vocab* vocab) : vocab_(vocab) {}
  void reserve_all(std::string_view chat_template);
  base::Result<void> try_all() const;
  std::vector<std::string_view> pieces(std::string_view text) const;
  void append_further(std::string_view piece, Tokens& out) const;

  const llama_vocab* vocab_;
  std::vector<bool> reserved_;  // by token
  TextSet texts_;
  // Of vocabularies that put a space before a text: a character that no token but its own holds, and its
  // tokens.
  Tokens lead_;
  Tokens before_, after_;  // that the vocabulary puts around a text
};

// llama_tokenize with a buffer that fits.
Tokens tokenize_raw(const llama_vocab* vocab, std::string_view text, bool add_special, bool parse_special);
// Bytes of one token; with `special`, also the text of those that are not ordinary text.
std::string piece_of(const llama_vocab* vocab, Token token, bool special);

}  // namespace bulkhead::inference
