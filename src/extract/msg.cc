// Messages as Outlook saves them (MS-OXMSG): a compound file with a stream for each property.
#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>

#include "extract/compound_file.h"
#include "extract/encoding.h"
#include "extract/number_format.h"
#include "extract/readers.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr int kMessageDepthMax = 4;
constexpr std::size_t kAttachmentsMax = 1'000;
constexpr std::size_t kRecipientsMax = 10'000;
constexpr double kDaysTo1601 = 109'205;  // from the day that spreadsheets count from

class Reader {
 public:
  Reader(const CompoundFile& file, DocumentBuilder& builder, const Limits& limits)
      : file_(file), builder_(builder), limits_(limits) {}

  // `header_bytes` is what stands before the fixed properties; `depth` counts the messages around.
  Result<void> read(const CompoundFile::Entry& message, std::size_t header_bytes, int depth) {
    code_page_ = code_page_of(message, header_bytes);
    BULKHEAD_TRY(subject, text_of(message, "0037"));
    builder_.set_title(subject);
    builder_.add(BlockKind::Heading, subject, depth == 0 ? 1 : 3);
    BULKHEAD_TRY(sender, text_of(message, "0C1A"));
    BULKHEAD_TRY(sender_address, address_of(message, {"5D01", "0C1F"}));
    add_field("From: ", with_address(sender, sender_address));
    const std::array<std::string, 3> recipients = recipients_of(message);
    constexpr std::array<std::pair<const char*, const char*>, 3> kShown = {
        {{"0E04", "To: "}, {"0E03", "Cc: "}, {"0E02", "Bcc: "}}};
    for (std::size_t kind = 0; kind < kShown.size(); ++kind) {
      BULKHEAD_TRY(names, text_of(message, kShown[kind].first));
      add_field(kShown[kind].second, recipients[kind].empty() ? names : recipients[kind]);
    }
    BULKHEAD_TRY(date, date_of(message, header_bytes));
    if (!date.empty()) builder_.add(BlockKind::Paragraph, "Date: " + date);
    BULKHEAD_CHECK_OK(read_body(message, depth));
    std::size_t attachments = 0;
    for (const CompoundFile::Entry* entry : file_.children(message)) {
      if (!entry->storage || !entry->name.starts_with("__attach_version1.0_")) continue;
      if (++attachments > kAttachmentsMax)
        return Error(ExtractionError::TooLarge, "The message has too many attachments. Save them as files.");
      BULKHEAD_CHECK_OK(read_attachment(*entry, depth));
    }
    return Result<void>();
  }

 private:
  void add_field(const std::string& label, const std::string& value) {
    if (!value.empty()) builder_.add(BlockKind::Paragraph, label + value);
  }

  // The first of the properties that is an address of the Internet: those of an exchange's own directory say
  // nothing to a reader.
  Result<std::string> address_of(const CompoundFile::Entry& storage,
                                 std::initializer_list<const char*> properties) const {
    for (const char* property : properties) {
      BULKHEAD_TRY(address, text_of(storage, property));
      if (address.find('@') != std::string::npos) return address;
    }
    return std::string();
  }

  static std::string with_address(const std::string& name, const std::string& address) {
    if (address.empty() || name.find(address) != std::string::npos) return name;
    return name.empty() ? address : name + " <" + address + ">";
  }

  // Whom it went to, those to copy, and those copied blindly: "Bo <bo@brannoc.example>; Cy".
  std::array<std::string, 3> recipients_of(const CompoundFile::Entry& message) const {
    std::array<std::string, 3> out;
    std::size_t count = 0;
    for (const CompoundFile::Entry* entry : file_.children(message)) {
      if (!entry->storage || !entry->name.starts_with("__recip_version1.0_")) continue;
      if (++count > kRecipientsMax) break;
      auto name = text_of(*entry, "3001");
      auto address = address_of(*entry, {"39FE", "3003"});
      std::size_t kind = recipient_kind(*entry);
      if (!name || !address || kind >= out.size()) continue;
      std::string text = with_address(*name, *address);
      if (!text.empty()) out[kind] += (out[kind].empty() ? "" : "; ") + text;
    }
    return out;
  }

  // 0 for To, 1 for Cc, 2 for Bcc, from PidTagRecipientType.
  std::size_t recipient_kind(const CompoundFile::Entry& recipient) const {
    constexpr std::string_view tag("\x03\x00\x15\x0C", 4);
    constexpr std::size_t kRecipientHeaderBytes = 8;
    const auto* list = file_.child(recipient, "__properties_version1.0");
    auto bytes = list ? file_.stream(*list) : Result<std::string>(std::string());
    if (!bytes) return 0;
    for (std::size_t at = kRecipientHeaderBytes; at + 16 <= bytes->size(); at += 16) {
      if (std::string_view(*bytes).substr(at, 4) != tag) continue;
      unsigned kind = static_cast<unsigned char>((*bytes)[at + 8]) & 0x0Fu;
      return kind >= 1 && kind <= 3 ? kind - 1 : 0;
    }
    return 0;
  }

  // A property's text: in UTF-16, or in a code page of old.
  Result<std::string> text_of(const CompoundFile::Entry& storage, const std::string& property) const {
    if (const auto* wide = file_.child(storage, "__substg1.0_" + property + "001F")) {
      BULKHEAD_TRY(bytes, file_.stream(*wide));
      return decode_as("UTF-16LE", bytes);
    }
    if (const auto* narrow = file_.child(storage, "__substg1.0_" + property + "001E")) {
      BULKHEAD_TRY(bytes, file_.stream(*narrow));
      // Some programs end it with a zero, which would make UTF-16 of it.
      while (bytes.ends_with('\0')) bytes.pop_back();
      auto text = text_to_utf8(bytes);
      bool ascii = std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) { return c < 0x80; });
      if (!ascii && !code_page_.empty()) {
        auto declared = decode_as(code_page_, bytes);
        if (declared && declared->find("\uFFFD") == std::string::npos) return declared;
      }
      return text ? *text : decode_as("windows-1252", bytes);
    }
    return std::string();
  }

  // Of the message's texts that are not in UTF-16 (PidTagMessageCodepage), "" when it says none.
  std::string code_page_of(const CompoundFile::Entry& message, std::size_t header_bytes) const {
    constexpr std::string_view tag("\x03\x00\xFD\x3F", 4);
    const auto* list = file_.child(message, "__properties_version1.0");
    auto bytes = list ? file_.stream(*list) : Result<std::string>(std::string());
    for (std::size_t at = header_bytes; bytes && at + 16 <= bytes->size(); at += 16) {
      if (std::string_view(*bytes).substr(at, 4) != tag) continue;
      unsigned number = static_cast<unsigned char>((*bytes)[at + 8]) |
                        static_cast<unsigned>(static_cast<unsigned char>((*bytes)[at + 9])) << 8;
      if (number == 65'001) return "UTF-8";
      if (number == 20'866) return "KOI8-R";
      if (number > 28'590 && number < 28'606) return "ISO-8859-" + std::to_string(number - 28'590);
      return number > 0 && number < 2'000 ? "windows-" + std::to_string(number) : "";
    }
    return "";
  }

  // When it was sent, UTC, from the list of properties of fixed size: 16 bytes each, the tag first.
  Result<std::string> date_of(const CompoundFile::Entry& message, std::size_t header_bytes) const {
    constexpr std::string_view tag("\x40\x00\x39\x00", 4);
    const auto* list = file_.child(message, "__properties_version1.0");
    if (!list) return std::string();
    BULKHEAD_TRY(bytes, file_.stream(*list));
    for (std::size_t at = header_bytes; at + 16 <= bytes.size(); at += 16) {
      if (std::string_view(bytes).substr(at, 4) != tag) continue;
      std::uint64_t time = 0;  // in tenths of microseconds since 1601
      for (std::size_t i = 8; i-- > 0;) time = time << 8 | static_cast<unsigned char>(bytes[at + 8 + i]);
      double days = static_cast<double>(time) / 864e9 - kDaysTo1601;
      char buffer[40];
      auto end = std::to_chars(buffer, buffer + sizeof buffer, days);
      return shown_number(std::string(buffer, end.ptr), "yyyy-mm-dd hh:mm", false) + " UTC";
    }
    return std::string();
  }

  Result<void> read_body(const CompoundFile::Entry& message, int depth) {
    Result<Document> document = Document{};
    bool any = false;
    if (const auto* page = file_.child(message, "__substg1.0_10130102")) {
      BULKHEAD_TRY(bytes, file_.stream(*page));
      auto text = html_to_utf8(bytes);
      document = text ? extract_html(*text, limits_) : Result<Document>(text.take_error());
      any = document && !document->blocks.empty();
    }
    if (!any) {
      BULKHEAD_TRY(text, text_of(message, "1000"));
      any = !text.empty();
      if (any) document = extract_text(text, limits_);
    }
    if (!document) {
      if (document.error().is(ExtractionError::TooLarge)) return document.take_error();
      builder_.add(BlockKind::Paragraph,
                   "The body of this message was not read: " + document.error().message());
      return Result<void>();
    }
    if (!any && file_.child(message, "__substg1.0_10090102"))
      builder_.add(BlockKind::Paragraph,
                   "The body of this message was not read: it is rich text only. Save it as EML.");
    append_blocks(builder_, *document, depth == 0 ? 1 : 3);
    return Result<void>();
  }

  Result<void> read_attachment(const CompoundFile::Entry& attachment, int depth) {
    BULKHEAD_TRY(name, text_of(attachment, "3707"));
    if (name.empty()) {
      BULKHEAD_TRY(short_name, text_of(attachment, "3704"));
      name = std::move(short_name);
    }
    if (const auto* message = file_.child(attachment, "__substg1.0_3701000D"); message && message->storage) {
      if (depth + 1 >= kMessageDepthMax) {
        builder_.add(BlockKind::Paragraph, "Attachment: message (not read: messages are nested too deeply)");
        return Result<void>();
      }
      builder_.add(BlockKind::Heading, "Attachment: message", 2);
      constexpr std::size_t kEmbeddedHeaderBytes = 24;
      return read(*message, kEmbeddedHeaderBytes, depth + 1);
    }
    const auto* data = file_.child(attachment, "__substg1.0_37010102");
    if (!data) return Result<void>();
    BULKHEAD_TRY(content, file_.stream(*data));
    return add_attachment(builder_, name, content, limits_, depth + 1);
  }

  const CompoundFile& file_;
  DocumentBuilder& builder_;
  const Limits& limits_;
  std::string code_page_;
};

}  // namespace

Result<Document> extract_msg(std::string_view bytes, const Limits& limits, int depth) {
  if (depth >= kMessageDepthMax)
    return Error(ExtractionError::Invalid, "Messages are nested too deeply. Save the inner one as a file.");
  BULKHEAD_TRY(file, CompoundFile::open(bytes));
  DocumentBuilder builder("email", limits);
  constexpr std::size_t kHeaderBytes = 32;
  // What stands inside counts on from the messages around.
  BULKHEAD_CHECK_OK(Reader(file, builder, limits).read(file.root(), kHeaderBytes, depth));
  return builder.take();
}

}  // namespace bulkhead::extract
