// Messages (RFC 5322): the fields a reader sees, the body, and each attachment under its name.
#include <algorithm>
#include <array>

#include "extract/encoding.h"
#include "extract/mime.h"
#include "extract/readers.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kMessageDepthMax = 4;
constexpr int kPartDepthMax = 20;
constexpr std::size_t kPartsMax = 1'000;
constexpr std::size_t kHeaderBytesMax = 256 << 10;
constexpr std::size_t kDecodedBytesMax = 256u << 20;

struct Part {
  MimeEntity entity;
  MimeValue type, disposition;
};

std::string field(const MimeEntity& entity, const std::string& name) {
  auto found = entity.fields.find(name);
  return found == entity.fields.end() ? std::string() : found->second;
}

std::string parameter(const MimeValue& value, const std::string& name) {
  auto found = value.parameters.find(name);
  return found == value.parameters.end() ? std::string() : found->second;
}

class Reader {
 public:
  Reader(const Limits& limits, int depth) : limits_(limits), depth_(depth), builder_("email", limits) {}

  Result<Document> read(std::string_view bytes) {
    Part message = part_of(bytes);
    add_fields(message.entity);
    BULKHEAD_CHECK_OK(read_part(message, 0));
    return builder_.take();
  }

 private:
  static Part part_of(std::string_view bytes) {
    Part part{parse_entity(bytes), {}, {}};
    std::string type = field(part.entity, "content-type");
    part.type = parse_mime_value(type.empty() ? "text/plain" : type);
    part.disposition = parse_mime_value(field(part.entity, "content-disposition"));
    return part;
  }

  void add_fields(const MimeEntity& message) {
    std::string subject = decode_words(field(message, "subject"));
    builder_.set_title(subject);
    builder_.add(BlockKind::Heading, subject, 1);
    constexpr std::array<std::pair<const char*, const char*>, 5> kShown = {
        {{"from", "From: "}, {"to", "To: "}, {"cc", "Cc: "}, {"bcc", "Bcc: "}, {"date", "Date: "}}};
    for (const auto& [name, label] : kShown) {
      std::string value = decode_words(field(message, name));
      if (!value.empty()) builder_.add(BlockKind::Paragraph, label + value);
    }
  }

  Result<void> read_part(const Part& part, int depth) {
    if (depth > kPartDepthMax) {
      return Error(ExtractionError::Invalid,
                   "The message's parts are nested too deeply. Save its text and attachments as files.");
    }
    if (++parts_ > kPartsMax) {
      return Error(ExtractionError::TooLarge,
                   "The message has too many parts. Save its attachments as files.");
    }
    const std::string& type = part.type.value;
    if (is_encrypted(part)) {
      return Error(ExtractionError::Encrypted,
                   "The message is encrypted. Open it in your mail program and save it without encryption.");
    }
    if (type.starts_with("multipart/")) return read_multipart(part, depth);
    bool attached = part.disposition.value == "attachment" || !name_of(part).empty();
    if (!attached && type.starts_with("text/")) return add_text(part);
    if (is_signature(type)) return Result<void>();
    return add_attachment(part);
  }

  static bool is_encrypted(const Part& part) {
    if (part.type.value == "multipart/encrypted") return true;
    bool pkcs7 = part.type.value == "application/pkcs7-mime" || part.type.value == "application/x-pkcs7-mime";
    return pkcs7 && lower_ascii(parameter(part.type, "smime-type")) != "signed-data";
  }

  static bool is_signature(const std::string& type) {
    return type == "application/pkcs7-signature" || type == "application/x-pkcs7-signature" ||
           type == "application/pgp-signature";
  }

  static std::string name_of(const Part& part) {
    std::string name = parameter(part.disposition, "filename");
    return name.empty() ? parameter(part.type, "name") : name;
  }

  Result<void> read_multipart(const Part& part, int depth) {
    auto pieces = split_multipart(part.entity.body, parameter(part.type, "boundary"), kPartsMax);
    std::vector<Part> inner;
    inner.reserve(pieces.size());
    for (std::string_view piece : pieces) inner.push_back(part_of(piece));
    if (part.type.value == "multipart/alternative") return read_alternative(inner, depth);
    for (const Part& each : inner) BULKHEAD_CHECK_OK(read_part(each, depth + 1));
    return Result<void>();
  }

  // The same content in several forms, the best last (RFC 2046, 5.1.4). Calendars and the like repeat it.
  Result<void> read_alternative(const std::vector<Part>& parts, int depth) {
    auto holds_text = [](const Part& part) {
      const std::string& type = part.type.value;
      return type == "text/plain" || type == "text/html" || type.starts_with("multipart/");
    };
    auto best = std::find_if(parts.rbegin(), parts.rend(), holds_text);
    if (best == parts.rend()) best = parts.rbegin();
    for (; best != parts.rend(); ++best) {
      std::size_t before = blocks_;
      BULKHEAD_CHECK_OK(read_part(*best, depth + 1));
      if (blocks_ > before) break;
    }
    return Result<void>();
  }

  Result<std::string> content_of(const Part& part) {
    decoded_ += part.entity.body.size();
    // Parts inside parts would be decoded once for each level.
    if (decoded_ > kDecodedBytesMax) {
      return Error(ExtractionError::TooLarge, "The message is too large. Save its attachments as files.");
    }
    return decode_transfer(part.entity.body, field(part.entity, "content-transfer-encoding"));
  }

  Result<void> add_text(const Part& part) {
    BULKHEAD_TRY(content, content_of(part));
    std::string charset = parameter(part.type, "charset");
    bool page = part.type.value == "text/html";
    auto text = page ? html_to_utf8(content) : text_to_utf8(content);
    if (auto declared = decode_as(charset, content); declared && lower_ascii(charset) != "us-ascii")
      text = std::move(declared);
    auto document = !text  ? Result<Document>(text.take_error())
                    : page ? extract_html(*text, limits_)
                           : extract_text(*text, limits_);
    if (document) return append(*document, 1);
    if (document.error().is(ExtractionError::TooLarge)) return document.take_error();
    builder_.add(BlockKind::Paragraph, "A part of this message was not read: " + document.error().message());
    return Result<void>();
  }

  Result<void> add_attachment(const Part& part) {
    std::string name = name_of(part);
    bool message = part.type.value == "message/rfc822";
    BULKHEAD_TRY(content, content_of(part));
    if (message && name.empty()) name = "message.eml";
    if (message && !lower_ascii(name).ends_with(".eml")) name += ".eml";
    // Pictures of a signature have no name and say nothing.
    if (name.empty() && part.type.value.starts_with("image/")) return Result<void>();
    std::string label = "Attachment: " + (name.empty() ? part.type.value : name);
    if (message && depth_ + 1 >= kMessageDepthMax) {
      ++blocks_;
      builder_.add(BlockKind::Paragraph, label + " (not read: messages are nested too deeply)");
      return Result<void>();
    }
    ++blocks_;
    return extract::add_attachment(builder_, name.empty() ? part.type.value : name, content, limits_,
                                   depth_ + 1);
  }

  Result<void> append(const Document& document, int levels) {
    blocks_ += document.blocks.size();
    append_blocks(builder_, document, levels);
    return Result<void>();
  }

  const Limits& limits_;
  int depth_;
  DocumentBuilder builder_;
  std::size_t parts_ = 0, blocks_ = 0, decoded_ = 0;
};

}  // namespace

bool looks_like_mail(std::string_view bytes) {
  MimeEntity entity = parse_entity(bytes.substr(0, kHeaderBytesMax));
  constexpr std::array<std::string_view, 10> kTelling = {
      "from",       "to",           "date",   "subject",     "received",
      "message-id", "mime-version", "sender", "return-path", "content-type"};
  return std::any_of(kTelling.begin(), kTelling.end(),
                     [&entity](std::string_view name) { return entity.fields.count(std::string(name)) > 0; });
}

Result<void> add_attachment(DocumentBuilder& builder, const std::string& name, std::string_view content,
                            const Limits& limits, int depth) {
  const std::string label = "Attachment: " + name;
  auto document = extract_attachment(name, content, limits, depth);
  if (document) {
    builder.add(BlockKind::Heading, label, 2);
    append_blocks(builder, *document, 2);
    return Result<void>();
  }
  if (document.error().is(ExtractionError::TooLarge)) return document.take_error();
  builder.add(BlockKind::Paragraph, label + " (not read: " + document.error().message() + ")");
  builder.report().leave_out(LeftOut::Attachment, 1);
  return Result<void>();
}

Result<Document> extract_mail(std::string_view bytes, const Limits& limits, int depth) {
  if (depth >= kMessageDepthMax)
    return Error(ExtractionError::Invalid, "Messages are nested too deeply. Save the inner one as a file.");
  return Reader(limits, depth).read(bytes);
}

}  // namespace bulkhead::extract
