#include "storage/subject.h"

#include <limits>

#include "storage/chunk_record.h"
#include "storage/record_json.h"
#include "storage/seal.h"

namespace bulkhead::storage {
namespace {

constexpr std::string_view kFormat = "bulkhead/subject/1";
constexpr std::string_view kFile = "file";
constexpr std::string_view kVectorStore = "vector_store";
constexpr std::string_view kChat = "chat";
constexpr std::string_view kApiKey = "api_key";

template <typename... Each>
struct Overloaded : Each... {
  using Each::operator()...;
};
template <typename... Each>
Overloaded(Each...) -> Overloaded<Each...>;

class Parts {
 public:
  explicit Parts(const ByteSink& sink) : sink_(sink) {}
  Parts& bytes(base::ByteView part) {
    const auto size = static_cast<std::uint32_t>(part.size());
    std::uint8_t head[4];
    for (unsigned i = 0; i < 4; ++i) head[i] = static_cast<std::uint8_t>(size >> (8 * i));
    sink_(head);
    sink_(part);
    return *this;
  }
  Parts& text(std::string_view part) { return bytes(base::as_bytes(part)); }
  Parts& number(std::uint64_t value) {
    std::uint8_t part[8];
    for (unsigned i = 0; i < 8; ++i) part[i] = static_cast<std::uint8_t>(value >> (8 * i));
    return bytes(part);
  }
  Parts& time(std::int64_t value) { return number(static_cast<std::uint64_t>(value)); }
  template <typename Enum>
  Parts& choice(Enum value) {
    return number(static_cast<std::uint64_t>(value));
  }

 private:
  const ByteSink& sink_;
};

// The first mistake is kept; whoever reads asks `finish` before using anything.
class PartReader {
 public:
  explicit PartReader(std::string_view form) : rest_(form) {}
  std::string_view bytes() {
    if (rest_.size() < 4) return bad();
    std::uint32_t size = 0;
    for (unsigned i = 0; i < 4; ++i)
      size |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(rest_[i])) << (8 * i);
    rest_.remove_prefix(4);
    if (size > rest_.size()) return bad();
    const std::string_view part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  std::string text() { return std::string(bytes()); }
  std::uint64_t number() {
    const std::string_view part = bytes();
    if (part.size() != 8) {
      bad();
      return 0;
    }
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i)
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(part[i])) << (8 * i);
    return value;
  }
  std::int64_t time() { return static_cast<std::int64_t>(number()); }
  std::uint32_t small() {
    const std::uint64_t value = number();
    if (value > std::numeric_limits<std::uint32_t>::max()) bad();
    return static_cast<std::uint32_t>(value);
  }
  bool flag() { return at_most(1) == 1; }
  template <typename Enum>
  Enum choice(Enum last) {
    return static_cast<Enum>(at_most(static_cast<std::uint64_t>(last)));
  }
  std::uint64_t at_most(std::uint64_t most) {
    const std::uint64_t value = number();
    if (value > most) bad();
    return value > most ? 0 : value;
  }
  bool good() const { return good_; }
  bool ended() const { return good_ && rest_.empty(); }
  std::string_view bad() {
    good_ = false;
    rest_ = {};
    return {};
  }
  template <typename Id>
  std::optional<Id> id() {
    auto parsed = Id::parse(bytes());
    if (!parsed) bad();
    return parsed;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void encode(const FileSubject& subject, Parts& out) {
  const FileRecord& file = subject.record;
  out.text(kFile).text(file.id.str()).text(file.name).text(file.purpose).text(file.owner);
  out.text(file.content_type).time(file.created).choice(file.status).text(file.status_detail);
  out.text(access_to_json(file.access)).text(file.sha256).text(subject.content);
  out.number(subject.chunks.chunks.size());
  for (std::size_t i = 0; i < subject.chunks.chunks.size(); ++i) {
    base::Bytes packed = pack_chunk(subject.chunks.chunks[i]);
    out.number(subject.chunks.chunks[i].ordinal).bytes(packed).bytes(pack_vectors(subject.chunks.vectors[i]));
    base::wipe(packed);
  }
}

void encode(const VectorStoreSubject& subject, Parts& out) {
  const VectorStoreRecord& store = subject.record;
  out.text(kVectorStore).text(store.id.str()).text(store.name).text(store.owner).text(store.metadata_json);
  out.time(store.created).time(store.last_active).number(store.is_default ? 1 : 0);
  out.number(subject.attachments.size());
  for (const AttachmentRecord& each : subject.attachments) {
    out.text(each.file.str()).time(each.created).choice(each.status).text(each.error_code);
    out.text(each.error_message).number(each.chunks);
  }
}

void encode(const ChatRecord& chat, Parts& out) {
  out.text(kChat).text(chat.id.str()).text(chat.owner).text(chat.model).time(chat.created);
  out.time(chat.expires).text(chat.metadata_json).text(chat.messages_json).text(chat.completion_json);
}

void encode(const identity::ApiKeyRecord& key, Parts& out) {
  out.text(kApiKey).text(key.id.str()).text(key.name).text(key.user).text(strings_to_json(key.roles));
  out.text(strings_to_json(key.groups)).time(key.created).time(key.expires).number(key.revoked ? 1 : 0);
  out.bytes(key.keyed_hash);
}

base::Result<Subject> decode_file(PartReader& in) {
  auto id = in.id<base::FileId>();
  if (!id) return damaged("a file of a copy");
  FileSubject subject{.record = {.id = std::move(*id)}, .content = {}, .chunks = {}};
  FileRecord& file = subject.record;
  file.name = in.text();
  file.purpose = in.text();
  file.owner = in.text();
  file.content_type = in.text();
  file.created = in.time();
  file.status = in.choice(FileStatus::Failed);
  file.status_detail = in.text();
  BULKHEAD_TRY(access, access_from_json(in.bytes()));
  file.access = std::move(access);
  file.sha256 = in.text();
  subject.content = in.text();
  file.bytes = subject.content.size();
  const std::uint64_t count = in.at_most(kChunksPerFileMax);
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    const auto ordinal = static_cast<std::uint32_t>(in.at_most(kChunksPerFileMax - 1));
    BULKHEAD_TRY(chunk, unpack_chunk(base::as_bytes(in.bytes()), file.id, ordinal));
    BULKHEAD_TRY(vectors, unpack_vectors(base::as_bytes(in.bytes())));
    subject.chunks.chunks.push_back(std::move(chunk));
    subject.chunks.vectors.push_back(std::move(vectors));
  }
  return Subject(std::move(subject));
}

base::Result<Subject> decode_vector_store(PartReader& in) {
  auto id = in.id<base::VectorStoreId>();
  if (!id) return damaged("a vector store of a copy");
  VectorStoreSubject subject{.record = {.id = std::move(*id)}, .attachments = {}};
  VectorStoreRecord& store = subject.record;
  store.name = in.text();
  store.owner = in.text();
  store.metadata_json = in.text();
  store.created = in.time();
  store.last_active = in.time();
  store.is_default = in.flag();
  const std::uint64_t count = in.number();
  for (std::uint64_t i = 0; i < count && in.good(); ++i) {
    auto file = in.id<base::FileId>();
    if (!file) break;
    AttachmentRecord each{.store = store.id, .file = std::move(*file)};
    each.created = in.time();
    each.status = in.choice(AttachmentStatus::Failed);
    each.error_code = in.text();
    each.error_message = in.text();
    each.chunks = in.small();
    subject.attachments.push_back(std::move(each));
  }
  return Subject(std::move(subject));
}

base::Result<Subject> decode_chat(PartReader& in) {
  auto id = in.id<base::ChatId>();
  if (!id) return damaged("a chat of a copy");
  ChatRecord chat{.id = std::move(*id)};
  chat.owner = in.text();
  chat.model = in.text();
  chat.created = in.time();
  chat.expires = in.time();
  chat.metadata_json = in.text();
  chat.messages_json = in.text();
  chat.completion_json = in.text();
  return Subject(std::move(chat));
}

base::Result<Subject> decode_api_key(PartReader& in) {
  auto id = in.id<base::ApiKeyId>();
  if (!id) return damaged("an API key of a copy");
  identity::ApiKeyRecord key{.id = std::move(*id)};
  key.name = in.text();
  key.user = in.text();
  BULKHEAD_TRY(roles, strings_from_json(in.bytes()));
  BULKHEAD_TRY(groups, strings_from_json(in.bytes()));
  key.roles = std::move(roles);
  key.groups = std::move(groups);
  key.created = in.time();
  key.expires = in.time();
  key.revoked = in.flag();
  const std::string_view hash = in.bytes();
  if (hash.size() != key.keyed_hash.size()) return damaged("an API key of a copy");
  const base::ByteView bytes = base::as_bytes(hash);
  std::copy(bytes.begin(), bytes.end(), key.keyed_hash.begin());
  return Subject(std::move(key));
}

// One form a subject, so that one digest does not stand for two.
bool has_form(const Subject& subject, std::string_view form) {
  bool same = true;
  encode_subject(subject, [&](base::ByteView piece) {
    same = same && form.starts_with(base::as_text(piece));
    if (same) form.remove_prefix(piece.size());
  });
  return same && form.empty();
}

}  // namespace

std::string subject_name(const Subject& subject) {
  return std::visit(Overloaded{[](const FileSubject& each) { return subject_of(each.record.id); },
                               [](const VectorStoreSubject& each) { return subject_of(each.record.id); },
                               [](const ChatRecord& each) { return subject_of(each.id); },
                               [](const identity::ApiKeyRecord& each) { return subject_of(each.id); }},
                    subject);
}

std::string_view subject_id(std::string_view name) {
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(slash + 1);
}

std::optional<SubjectKind> subject_kind(std::string_view name) {
  if (!base::is_identifier(subject_id(name))) return std::nullopt;
  const std::string_view kind = name.substr(0, name.find('/'));
  if (kind == kFile) return SubjectKind::File;
  if (kind == kVectorStore) return SubjectKind::VectorStore;
  if (kind == kChat) return SubjectKind::Chat;
  if (kind == kApiKey) return SubjectKind::ApiKey;
  return std::nullopt;
}

void encode_subject(const Subject& subject, const ByteSink& sink) {
  Parts out(sink);
  out.text(kFormat);
  std::visit([&](const auto& each) { encode(each, out); }, subject);
}

std::uint64_t encoded_bytes(const Subject& subject) {
  std::uint64_t bytes = 0;
  encode_subject(subject, [&](base::ByteView piece) { bytes += piece.size(); });
  return bytes;
}

crypto::Digest digest_of(const Subject& subject) {
  crypto::Sha256 hash;
  encode_subject(subject, [&](base::ByteView piece) { hash.update(piece); });
  return hash.finish();
}

base::Result<Subject> decode_subject(std::string_view form) {
  PartReader in(form);
  if (in.bytes() != kFormat) return damaged("a copy");
  const std::string_view kind = in.bytes();
  auto subject = kind == kFile          ? decode_file(in)
                 : kind == kVectorStore ? decode_vector_store(in)
                 : kind == kChat        ? decode_chat(in)
                 : kind == kApiKey      ? decode_api_key(in)
                                        : base::Result<Subject>(damaged("a copy"));
  if (subject && (!in.ended() || !has_form(*subject, form))) return damaged("a copy");
  return subject;
}

}  // namespace bulkhead::storage
