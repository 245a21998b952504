#include "inference/content_tokenizer.h"

#include <algorithm>
#include <array>

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr std::string_view kLead = "\x01";
constexpr std::string_view kWhiteSpace = " \t\r\n\f\v";

bool is_letter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte >= 0x80;
}

bool has_letter(std::string_view text) { return std::any_of(text.begin(), text.end(), is_letter); }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

// Bytes of the UTF-8 character at the beginning.
std::size_t first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t bytes = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(bytes, text.size());
}

bool is_bracketed_capitals(std::string_view text) {
  if (text.size() < 4 || text.front() != '[' || text.back() != ']') return false;
  std::string_view inside = text.substr(1, text.size() - 2);
  return has_letter(inside) && std::all_of(inside.begin(), inside.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '/';
         });
}

bool is_markup(std::string_view text) {
  const bool in_angles = text.starts_with('<') && text.ends_with('>');
  const bool in_bars = text.starts_with("<|") || text.ends_with("|>");
  return has_letter(text) && (in_angles || in_bars || is_bracketed_capitals(text));
}

bool stands_in(std::string_view chat_template, std::string_view text) {
  return text.find_first_of("<>[]|") != std::string_view::npos && has_letter(text) &&
         chat_template.find(text) != std::string_view::npos;
}

bool is_ordinary_type(const llama_vocab* vocab, Token token) {
  constexpr int kOther = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED | LLAMA_TOKEN_ATTR_UNKNOWN |
                         LLAMA_TOKEN_ATTR_UNUSED;
  return (llama_vocab_get_attr(vocab, token) & kOther) == 0;
}

}  // namespace

Tokens tokenize_raw(const llama_vocab* vocab, std::string_view text, bool add_special, bool parse_special) {
  Tokens tokens(text.size() + 8);
  for (int attempt = 0; attempt < 2; ++attempt) {
    int count = llama_tokenize(vocab, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), add_special, parse_special);
    if (count >= 0) {
      tokens.resize(static_cast<std::size_t>(count));
      return tokens;
    }
    tokens.resize(static_cast<std::size_t>(-count));
  }
  return {};
}

std::string piece_of(const llama_vocab* vocab, Token token, bool special) {
  std::string piece(256, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    int bytes = llama_token_to_piece(vocab, token, piece.data(), static_cast<int>(piece.size()), 0, special);
    if (bytes >= 0) {
      piece.resize(static_cast<std::size_t>(bytes));
      return piece;
    }
    piece.resize(static_cast<std::size_t>(-bytes));
  }
  return {};
}

Result<std::unique_ptr<ContentTokenizer>> ContentTokenizer::make(const llama_vocab* vocab,
                                                                 std::string_view chat_template) {
  std::unique_ptr<ContentTokenizer> made(new ContentTokenizer(vocab));
  made->reserve_all(chat_template);
  const enum llama_vocab_type type = llama_vocab_type(vocab);
  if (type != LLAMA_VOCAB_TYPE_BPE && type != LLAMA_VOCAB_TYPE_WPM) {
    made->lead_ = tokenize_raw(vocab, kLead, false, false);
  }
  const Tokens whole = tokenize_raw(vocab, "a", true, false), bare = tokenize_raw(vocab, "a", false, false);
  auto inside = std::search(whole.begin(), whole.end(), bare.begin(), bare.end());
  if (inside != whole.end()) {
    made->before_.assign(whole.begin(), inside);
    made->after_.assign(inside + static_cast<std::ptrdiff_t>(bare.size()), whole.end());
  }
  BULKHEAD_CHECK_OK(made->try_all());
  return made;
}

void ContentTokenizer::reserve_all(std::string_view chat_template) {
  const std::int32_t count = llama_vocab_n_tokens(vocab_);
  reserved_.assign(static_cast<std::size_t>(count), false);
  for (Token token = 0; token < count; ++token) {
    const bool ordinary = is_ordinary_type(vocab_, token);
    const std::string piece = piece_of(vocab_, token, true);
    const char* raw = ordinary ? nullptr : llama_vocab_get_text(vocab_, token);
    for (std::string_view text : {std::string_view(piece), std::string_view(raw ? raw : "")}) {
      // A vocabulary may hold it with the space before it, which it also puts there by itself.
      text = trimmed(text);
      if (text.empty() || first_character(text) == text.size()) continue;
      if (ordinary && !is_markup(text) && !stands_in(chat_template, text)) continue;
      reserved_[static_cast<std::size_t>(token)] = true;
      texts_.add(text);
    }
  }
}

// Fails at start, not at the first hostile text.
Result<void> ContentTokenizer::try_all() const {
  for (Token token = 0; token < static_cast<Token>(reserved_.size()); ++token) {
    if (!reserved(token)) continue;
    const char* raw = llama_vocab_get_text(vocab_, token);
    for (const std::string& text : {piece_of(vocab_, token, true), std::string(raw ? raw : "")}) {
      const Tokens tokens = tokenize(text);
      if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) continue;
      return Error(InferenceError::Unsupported,
                   "The model's vocabulary makes a token out of ordinary text that its template marks turns "
                   "with, so users could write turns of others. Choose another model file.",
                   "token " + std::to_string(token));
    }
  }
  return Result<void>();
}

std::vector<std::string_view> ContentTokenizer::pieces(std::string_view text) const {
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t found = texts_.longest_at(text, at);
    if (found == 0) continue;
    // Behind its first character, so that texts that overlap it are cut too when their turn comes.
    const std::size_t cut = at + first_character(text.substr(at));
    out.push_back(text.substr(begin, cut - begin));
    begin = cut;
  }
  out.push_back(text.substr(begin));
  return out;
}

Tokens ContentTokenizer::tokenize(std::string_view text) const {
  const std::vector<std::string_view> parts = pieces(text);
  Tokens tokens = tokenize_raw(vocab_, parts.front(), false, false);
  for (std::size_t i = 1; i < parts.size(); ++i) append_further(parts[i], tokens);
  return tokens;
}

// A piece that goes on where another ended: without the space that some vocabularies put before a text.
void ContentTokenizer::append_further(std::string_view piece, Tokens& out) const {
  if (piece.empty()) return;
  if (lead_.empty()) {
    const Tokens tokens = tokenize_raw(vocab_, piece, false, false);
    out.insert(out.end(), tokens.begin(), tokens.end());
    return;
  }
  const Tokens tokens = tokenize_raw(vocab_, std::string(kLead) + std::string(piece), false, false);
  auto after = std::mismatch(lead_.begin(), lead_.end(), tokens.begin(), tokens.end());
  // Where the lead does not stand alone, the space stays: a token more, and nothing that is reserved.
  const auto skip = after.first == lead_.end() ? after.second - tokens.begin() : 0;
  out.insert(out.end(), tokens.begin() + skip, tokens.end());
}

Tokens ContentTokenizer::tokenize_whole(std::string_view text) const {
  Tokens tokens = before_;
  const Tokens inside = tokenize(text);
  tokens.insert(tokens.end(), inside.begin(), inside.end());
  tokens.insert(tokens.end(), after_.begin(), after_.end());
  return tokens;
}

}  // namespace bulkhead::inference
