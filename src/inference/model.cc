#include "inference/model.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "crypto/hash.h"
#include "crypto/random.h"

namespace bulkhead::inference {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kReadBytes = 1 << 20;
constexpr unsigned kNonceBits = 130;

// Architectures whose whole per-sequence state is the K and V cache that burn.h zeroes. Recurrent,
// hybrid and sliding-window ones keep state elsewhere and are refused rather than burned by halves.
constexpr std::array<std::string_view, 9> kChatArchitectures = {
    "llama", "qwen2", "qwen3", "mistral3", "phi3", "granite", "olmo2", "smollm3", "internlm2"};
constexpr std::array<std::string_view, 3> kEmbeddingArchitectures = {"bert", "nomic-bert", "jina-bert-v2"};

template <std::size_t N>
std::string joined(const std::array<std::string_view, N>& names) {
  std::string text;
  for (std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

Result<std::string> hash_of_gguf(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Error(InferenceError::ModelUnreadable,
                 "The model file " + path.string() + " can't be opened. Check engine.*.path.");
  }
  std::array<char, 4> magic{};
  in.read(magic.data(), magic.size());
  // GGUF alone: formats that can carry code are never loaded (AISVS 4.1.2).
  if (std::string_view(magic.data(), magic.size()) != "GGUF") {
    return Error(InferenceError::Unsupported, path.string() + " is not a GGUF file.");
  }
  in.seekg(0);
  crypto::Sha256 hash;
  std::vector<char> buffer(kReadBytes);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    hash.update(base::as_bytes(std::string_view(buffer.data(), static_cast<std::size_t>(in.gcount()))));
  }
  return base::hex_encode(hash.finish());
}

std::string metadata(const llama_model* model, const char* key) {
  std::array<char, 256> value{};
  int length = llama_model_meta_val_str(model, key, value.data(), value.size());
  return length > 0 ? std::string(value.data()) : std::string();
}

Result<void> check_architecture(const llama_model* model, ModelKind kind) {
  std::string name = metadata(model, "general.architecture");
  auto listed = [&name](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  bool fits = kind == ModelKind::Chat ? listed(kChatArchitectures) : listed(kEmbeddingArchitectures);
  // A sliding window keeps a second cache under other names.
  if (fits && kind == ModelKind::Chat && llama_model_n_swa(model) > 0) fits = false;
  if (fits) return Result<void>();
  return Error(InferenceError::Unsupported,
               "Models of architecture \"" + name + "\" are not served here, because it is not proven "
               "that their memory can be erased. Accepted: " +
                   (kind == ModelKind::Chat ? joined(kChatArchitectures) : joined(kEmbeddingArchitectures)));
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

Result<std::unique_ptr<Model>> Model::load(const ModelFile& file, ModelKind kind, int gpu_layers) {
  BULKHEAD_TRY(hash, hash_of_gguf(file.path));
  if (!file.sha256.empty() && hash != file.sha256) {
    return Error(InferenceError::HashMismatch,
                 "The model file " + file.path.string() + " is not the pinned one: its SHA-256 is " + hash +
                     ", the configuration says " + file.sha256 + ".");
  }
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = gpu_layers;
  params.check_tensors = true;
  std::unique_ptr<Model> model(new Model);
  model->model_ = llama_model_load_from_file(file.path.c_str(), params);
  if (!model->model_) {
    return Error(InferenceError::ModelUnreadable, "llama.cpp can't load " + file.path.string() +
                                                      ": the file is damaged or of an unknown kind.");
  }
  BULKHEAD_CHECK_OK(check_architecture(model->model_, kind));
  model->vocab_ = llama_model_get_vocab(model->model_);
  model->id_ = file.id;
  model->sha256_ = std::move(hash);
  if (kind == ModelKind::Chat) {
    const char* text = llama_model_chat_template(model->model_, nullptr);
    model->template_ = text ? text : "";
    // Fail at start, not at the first request.
    BULKHEAD_CHECK_OK(model->tokenize_chat({{"system", "a"}, {"user", "b"}}));
  }
  return model;
}

Model::~Model() {
  if (model_) llama_model_free(model_);
}

std::int64_t Model::trained_context() const { return llama_model_n_ctx_train(model_); }

Tokens Model::tokenize(std::string_view text, bool add_special, bool parse_special) const {
  Tokens tokens(text.size() + 8);
  for (int attempt = 0; attempt < 2; ++attempt) {
    int count = llama_tokenize(vocab_, text.data(), static_cast<int>(text.size()), tokens.data(),
                               static_cast<int>(tokens.size()), add_special, parse_special);
    if (count >= 0) {
      tokens.resize(static_cast<std::size_t>(count));
      return tokens;
    }
    tokens.resize(static_cast<std::size_t>(-count));
  }
  return {};
}

Tokens Model::tokenize_content(std::string_view text) const { return tokenize(text, false, false); }
Tokens Model::tokenize_for_embedding(std::string_view text) const { return tokenize(text, true, false); }

Result<Tokens> Model::tokenize_chat(const std::vector<ChatMessage>& messages) const {
  std::string nonce = crypto::random_id(kNonceBits);
  std::vector<std::string> marks;
  std::vector<llama_chat_message> rendered;
  for (std::size_t i = 0; i < messages.size(); ++i) marks.push_back(nonce + "m" + std::to_string(i) + "z");
  for (std::size_t i = 0; i < messages.size(); ++i) {
    rendered.push_back({messages[i].role.c_str(), marks[i].c_str()});
  }
  std::string frame = apply_template(template_, rendered);
  Error lost(InferenceError::Unsupported,
             "The model's chat template is not one that this worker can render safely.",
             "a placeholder was lost or the template is unknown");
  if (frame.empty()) return lost;
  Tokens tokens;
  std::size_t at = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    std::size_t mark = frame.find(marks[i], at);
    if (mark == std::string::npos) return lost;
    Tokens before = tokenize(std::string_view(frame).substr(at, mark - at), at == 0, true);
    tokens.insert(tokens.end(), before.begin(), before.end());
    Tokens content = tokenize_content(messages[i].content);
    tokens.insert(tokens.end(), content.begin(), content.end());
    at = mark + marks[i].size();
  }
  Tokens rest = tokenize(std::string_view(frame).substr(at), at == 0, true);
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  // A template that writes the begin token itself, after the vocabulary added one.
  llama_token begin = llama_vocab_bos(vocab_);
  if (tokens.size() > 1 && begin >= 0 && tokens[0] == begin && tokens[1] == begin) tokens.erase(tokens.begin());
  return tokens;
}

std::string Model::piece(llama_token token) const {
  std::array<char, 256> buffer;
  int bytes = llama_token_to_piece(vocab_, token, buffer.data(), buffer.size(), 0, false);
  return bytes > 0 ? std::string(buffer.data(), static_cast<std::size_t>(bytes)) : std::string();
}

bool Model::ends_generation(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }

}  // namespace bulkhead::inference
