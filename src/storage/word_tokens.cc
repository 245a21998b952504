#include "storage/word_tokens.h"

#include <sqlite3.h>

#include <mutex>

#include "storage/sqlite_error.h"
#include "storage/sqlite_fts5.h"

namespace bulkhead::storage {
namespace {

// Longer ones are no words that anybody looks for (encoded data); FTS5 has a limit of its own above.
constexpr int kTokenBytesMax = 256;

int add_token(void* context, int /*flags*/, const char* token, int bytes, int /*begin*/, int /*end*/) {
  auto& counts = *static_cast<std::map<std::string, std::uint32_t>*>(context);
  if (bytes > 0 && bytes <= kTokenBytesMax) ++counts[std::string(token, static_cast<std::size_t>(bytes))];
  return SQLITE_OK;
}

}  // namespace

struct WordTokenizer::Impl {
  sqlite3* library = nullptr;  // an empty database in memory: the tokenizers belong to a connection
  fts5_tokenizer methods{};
  Fts5Tokenizer* tokenizer = nullptr;
  std::mutex mutex;

  ~Impl() {
    if (tokenizer) methods.xDelete(tokenizer);
    sqlite3_close(library);
  }

  int open() {
    if (int code = sqlite3_open_v2(":memory:", &library, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, nullptr);
        code != SQLITE_OK) {
      return code;
    }
    fts5_api* api = nullptr;
    if (const int code = find_fts5(library, api); code != SQLITE_OK) return code;
    void* context = nullptr;
    const int code = api->xFindTokenizer(api, "porter", &context, &methods);
    if (code != SQLITE_OK) return code;
    const char* arguments[] = {"unicode61", "remove_diacritics", "2"};
    return methods.xCreate(context, arguments, 3, &tokenizer);
  }
};

WordTokenizer::WordTokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WordTokenizer::~WordTokenizer() = default;

base::Result<std::unique_ptr<WordTokenizer>> WordTokenizer::create() {
  auto impl = std::make_unique<Impl>();
  if (int code = impl->open(); code != SQLITE_OK) return sqlite_error(impl->library, code, "FTS5 tokenizer");
  return std::unique_ptr<WordTokenizer>(new WordTokenizer(std::move(impl)));
}

base::Result<void> WordTokenizer::count(std::string_view text,
                                        std::map<std::string, std::uint32_t>& counts) const {
  std::scoped_lock lock(impl_->mutex);
  int code = impl_->methods.xTokenize(impl_->tokenizer, &counts, FTS5_TOKENIZE_DOCUMENT, text.data(),
                                      static_cast<int>(text.size()), add_token);
  if (code != SQLITE_OK) return sqlite_error(nullptr, code, "FTS5 tokenizer");
  return {};
}

}  // namespace bulkhead::storage
