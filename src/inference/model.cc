#include "inference/model.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "crypto/hash.h"
#include "gguf.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kTemplateBytesMax = 1 << 20;
constexpr std::size_t kChatTokenBytesMin = 16, kEncoderTokenBytesMin = 256;

// Architectures whose whole per-sequence state is the K and V cache that burn.h zeroes. Recurrent,
// hybrid and sliding-window ones keep state elsewhere and are refused rather than burned by halves.
constexpr std::array<std::string_view, 9> kChatArchitectures = {
    "llama", "qwen2", "qwen3", "mistral3", "phi3", "granite", "olmo2", "smollm3", "internlm2"};
constexpr std::array<std::string_view, 3> kEncoderArchitectures = {"bert", "nomic-bert", "jina-bert-v2"};

template <std::size_t N>
std::string joined(const std::array<std::string_view, N>& names) {
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

Error damaged(const std::filesystem::path& path) {
  return Error(InferenceError::ModelUnreadable,
               "llama.cpp can't load " + path.string() + ": the file is damaged or of an unknown kind.");
}

Result<std::string> hash_of_gguf(std::FILE* file, const std::filesystem::path& path) {
  std::rewind(file);
  crypto::Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  bool first = true;
  while (std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file)) {
    const std::string_view bytes(buffer.data(), got);
    // GGUF alone: formats that can carry code are never loaded (AISVS 4.1.2).
    if (std::exchange(first, false) && !bytes.starts_with("GGUF")) break;
    hash.update(base::as_bytes(bytes));
  }
  const bool whole = !first && std::feof(file) != 0 && std::ferror(file) == 0;
  std::rewind(file);
  if (!whole) return Error(InferenceError::Unsupported, path.string() + " is not a GGUF file.");
  return base::hex_encode(hash.finish());
}

std::string metadata(const llama_model* model, const char* key) {
  std::array<char, 256> value{};
  int length = llama_model_meta_val_str(model, key, value.data(), value.size());
  return length > 0 ? std::string(value.data()) : std::string();
}

Result<void> check_architecture(const llama_model* model, ModelKind kind) {
  std::string name = metadata(model, "general.architecture");
  auto listed = [&name](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  bool fits = kind == ModelKind::Chat ? listed(kChatArchitectures) : listed(kEncoderArchitectures);
  // A sliding window keeps a second cache under other names.
  if (fits && kind == ModelKind::Chat && llama_model_n_swa(model) > 0) fits = false;
  if (fits) return Result<void>();
  return Error(InferenceError::Unsupported,
               "Models of architecture \"" + name +
                   "\" are not served here, because it is not proven "
                   "that their memory can be erased. Accepted: " +
                   (kind == ModelKind::Chat ? joined(kChatArchitectures) : joined(kEncoderArchitectures)));
}

// Does the file hold what makes one score of a pair? llama.cpp loads files without it, and then gives
// numbers that mean nothing.
bool has_rank_head(std::FILE* file) {
  std::rewind(file);
  gguf_context* parsed = gguf_init_from_file_ptr(file, {.no_alloc = true, .ctx = nullptr});
  bool found = parsed && gguf_find_tensor(parsed, "cls.output.weight") >= 0;
  gguf_free(parsed);
  return found;
}

Result<void> check_head(const llama_model* model, std::FILE* file, const std::filesystem::path& path,
                        ModelKind kind) {
  bool ranks = has_rank_head(file);
  if (kind != ModelKind::Rerank) {
    if (!ranks) return Result<void>();
    return Error(InferenceError::Unsupported,
                 path.string() +
                     " is a model for reranking (it holds cls.output.weight). Configure it as "
                     "such, or choose another file.");
  }
  if (!ranks) {
    return Error(InferenceError::Unsupported,
                 path.string() +
                     " can't rerank: it holds no head that scores a pair (cls.output.weight). "
                     "Choose a cross-encoder converted for llama.cpp.");
  }
  if (llama_model_n_cls_out(model) != 1) {
    return Error(InferenceError::Unsupported, path.string() + " can't rerank: its head gives " +
                                                  std::to_string(llama_model_n_cls_out(model)) +
                                                  " numbers a pair, not one score.");
  }
  if (llama_model_chat_template(model, "rerank")) {
    return Error(InferenceError::Unsupported,
                 path.string() + " wants its pairs in a template of its own, which isn't served here.");
  }
  return Result<void>();
}

std::string apply_template(const std::string& name, const std::vector<llama_chat_message>& messages) {
  std::string out(4096, '\0');
  for (int attempt = 0; attempt < 2; ++attempt) {
    int bytes = llama_chat_apply_template(name.c_str(), messages.data(), messages.size(), true, out.data(),
                                          static_cast<int>(out.size()));
    if (bytes < 0) return "";
    bool fitted = static_cast<std::size_t>(bytes) <= out.size();
    out.resize(static_cast<std::size_t>(bytes));
    if (fitted) return out;
  }
  return "";
}

}  // namespace

Result<OpenModelFile> OpenModelFile::open(const ModelFile& file) {
  OpenModelFile out;
  out.names_ = file;
  out.file_.reset(std::fopen(file.path.c_str(), "rbe"));
  if (!out.file_) {
    return Error(InferenceError::ModelUnreadable,
                 "The model file " + file.path.string() + " can't be opened. Check engine.*.path.");
  }
  if (!file.chat_template.empty()) {
    auto text = base::read_file(file.chat_template, kTemplateBytesMax);
    if (!text) {
      return Error(InferenceError::ModelUnreadable, "The chat template " + file.chat_template.string() +
                                                        " can't be read: " + text.error().message());
    }
    out.chat_template_ = std::move(*text);
  }
  return out;
}

Result<std::unique_ptr<Model>> Model::load(OpenModelFile file, ModelKind kind, int gpu_layers) {
  const ModelFile& names = file.names_;
  BULKHEAD_TRY(hash, hash_of_gguf(file.file_.get(), names.path));
  if (!names.sha256.empty() && hash != names.sha256) {
    return Error(InferenceError::HashMismatch, "The model file " + names.path.string() +
                                                   " is not the pinned one: its SHA-256 is " + hash +
                                                   ", the configuration says " + names.sha256 + ".");
  }
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = gpu_layers;
  params.check_tensors = true;
  std::unique_ptr<Model> model(new Model);
  model->model_ = llama_model_load_from_file_ptr(file.file_.get(), params);
  if (!model->model_) return damaged(names.path);
  BULKHEAD_CHECK_OK(check_architecture(model->model_, kind));
  BULKHEAD_CHECK_OK(check_head(model->model_, file.file_.get(), names.path, kind));
  model->vocab_ = llama_model_get_vocab(model->model_);
  model->id_ = names.id;
  model->sha256_ = std::move(hash);
  model->token_bytes_max_ = model->longest_token(kind);
  if (kind == ModelKind::Chat) {
    BULKHEAD_CHECK_OK(model->prepare_chat(std::move(file.chat_template_)));
  } else {
    BULKHEAD_TRY(content, ContentTokenizer::make(model->vocab_, ""));
    model->content_ = std::move(content);
  }
  return model;
}

Result<void> Model::prepare_chat(std::string chat_template) {
  if (!chat_template.empty()) {
    template_ = std::move(chat_template);
  } else if (const char* text = llama_model_chat_template(model_, nullptr)) {
    template_ = text;
  } else {
    return Error(InferenceError::Unsupported,
                 "The model file holds no chat template; give one by --chat-template.");
  }
  std::vector<ChatMessage> trial = {{"system", "a", {}, ""}, {"user", "b", {}, ""}};
  known_template_ = known_frame(trial).ok();
  BULKHEAD_TRY(content, ContentTokenizer::make(vocab_, template_));
  content_ = std::move(content);
  if (auto made = ChatFormat::make(model_, template_, content_->reserved_texts()); made) {
    format_ = std::move(*made);
  } else if (!known_template_) {
    return made.take_error();
  }
  // Fail at start, not at the first request.
  BULKHEAD_TRY(tokens, tokenize_chat(trial));
  static_cast<void>(tokens);
  return Result<void>();
}

// Encoders' vocabularies drop white space and take a word that they don't know for one token, so theirs is a
// bound of what is text rather than of what could be made of spaces.
std::size_t Model::longest_token(ModelKind kind) const {
  int longest = 1;
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); ++token) {
    char none = 0;
    longest = std::max(longest, std::abs(llama_token_to_piece(vocab_, token, &none, 0, 0, true)));
  }
  const std::size_t least = kind == ModelKind::Chat ? kChatTokenBytesMin : kEncoderTokenBytesMin;
  return std::max(static_cast<std::size_t>(longest), least);
}

Model::~Model() {
  if (model_) llama_model_free(model_);
}

std::int64_t Model::trained_context() const { return llama_model_n_ctx_train(model_); }

// As llama.cpp's own server joins a pair, whose scores ours equal.
Tokens Model::tokenize_pair(const Tokens& query, std::string_view document) const {
  Tokens tokens;
  auto append = [&tokens](const Tokens& more) { tokens.insert(tokens.end(), more.begin(), more.end()); };
  llama_token end = llama_vocab_eos(vocab_);
  if (end == LLAMA_TOKEN_NULL) end = llama_vocab_sep(vocab_);
  if (llama_vocab_get_add_bos(vocab_)) tokens.push_back(llama_vocab_bos(vocab_));
  append(query);
  if (llama_vocab_get_add_eos(vocab_)) tokens.push_back(end);
  if (llama_vocab_get_add_sep(vocab_)) tokens.push_back(llama_vocab_sep(vocab_));
  append(tokenize_content(document));
  if (llama_vocab_get_add_eos(vocab_)) tokens.push_back(end);
  return tokens;
}

namespace {
Error lost_text() {
  return Error(InferenceError::Unsupported,
               "The model's chat template is not one that this worker can render safely.",
               "a mark was lost or the template is unknown");
}
}  // namespace

Result<Tokens> Model::tokenize_frame(const Frame& frame) const {
  std::unordered_map<std::string_view, const Marked*> by_mark;
  for (const Marked& marked : frame.marked) by_mark.emplace(marked.mark, &marked);
  std::unordered_set<const Marked*> met;
  Tokens tokens;
  auto append = [&tokens](const Tokens& more) { tokens.insert(tokens.end(), more.begin(), more.end()); };
  std::string_view text = frame.text;
  std::size_t done = 0;
  for (std::size_t at = text.find(ChatFormat::kMarkBegin); at != std::string_view::npos && !by_mark.empty();
       at = text.find(ChatFormat::kMarkBegin, at + 1)) {
    auto found = by_mark.find(text.substr(at, frame.marked.front().mark.size()));
    if (found == by_mark.end()) continue;
    append(tokenize_template(text.substr(done, at - done), done == 0));
    append(tokenize_content(found->second->text));
    met.insert(found->second);
    done = at + found->first.size();
    at = done - 1;
  }
  append(tokenize_template(text.substr(done), done == 0));
  for (const Marked& marked : frame.marked) {
    if (marked.needed && !met.contains(&marked)) return lost_text();
  }
  // A template that writes the begin token itself, after the vocabulary added one.
  llama_token begin = llama_vocab_bos(vocab_);
  if (tokens.size() > 1 && begin >= 0 && tokens[0] == begin && tokens[1] == begin)
    tokens.erase(tokens.begin());
  return tokens;
}

Result<Frame> Model::known_frame(const std::vector<ChatMessage>& messages) const {
  Frame frame;
  for (const ChatMessage& message : messages) {
    frame.marked.push_back({ChatFormat::new_mark(), message.content});
  }
  std::vector<llama_chat_message> rendered;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    rendered.push_back({messages[i].role.c_str(), frame.marked[i].mark.c_str()});
  }
  frame.text = apply_template(template_, rendered);
  if (frame.text.empty()) return lost_text();
  return frame;
}

Result<Tokens> Model::tokenize_chat(const std::vector<ChatMessage>& messages) const {
  // Templates that llama.h knows are rendered a hundred times faster by it; calls and their results are
  // the model's own template's business.
  bool plain = std::all_of(messages.begin(), messages.end(), [](const ChatMessage& message) {
    return message.tool_calls.empty() && message.role != "tool";
  });
  if (known_template_ && plain) {
    BULKHEAD_TRY(frame, known_frame(messages));
    return tokenize_frame(frame);
  }
  if (!format_) return lost_text();
  BULKHEAD_TRY(frame, format_->frame(messages));
  return tokenize_frame(frame);
}

Result<ToolChat> Model::prepare_tools(const std::vector<ChatMessage>& messages,
                                      const ToolRequest& request) const {
  if (!format_ || !format_->takes_tools()) {
    return Error(InferenceError::BadGrammar, "This model's template has no place for tools.");
  }
  BULKHEAD_TRY(laid, format_->with_tools(messages, request));
  ToolChat out;
  BULKHEAD_TRY(prompt, tokenize_frame(laid.frame));
  out.prompt = std::move(prompt);
  out.constraint = std::move(laid.constraint);
  out.stops = std::move(laid.stops);
  for (const std::string& text : laid.shown) {
    Tokens one = tokenize_template(text, false);
    if (one.size() == 1) out.shown.insert(one[0]);
  }
  out.format = std::move(laid.format);
  return out;
}

Tokens Model::tokenize_completion(std::string_view text) const {
  Tokens tokens = tokenize_content(text);
  llama_token begin = llama_vocab_bos(vocab_);
  if (llama_vocab_get_add_bos(vocab_) && begin >= 0) tokens.insert(tokens.begin(), begin);
  return tokens;
}

std::string Model::piece(llama_token token, bool control) const { return piece_of(vocab_, token, control); }

bool Model::ends_generation(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }

}  // namespace bulkhead::inference
