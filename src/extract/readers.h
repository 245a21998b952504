// The readers of the formats beyond text, HTML, DOCX and PDF. Each takes the whole document from memory,
// opens nothing else, follows no reference out of it, and throws at most std::bad_alloc. Errors: Unsupported,
// Invalid, Encrypted, TooLarge, with the way out in the message. Thread safety: any thread.
#pragma once

#include <string>
#include <string_view>

#include "extract/document.h"
#include "extract/package.h"

namespace bulkhead::extract {

// Spreadsheets and presentations of Office Open XML (ECMA-376, parts 1 and 4); `main` is the main part.
base::Result<Document> extract_xlsx(const Package& package, const std::string& main, const Limits& limits);
base::Result<Document> extract_pptx(const Package& package, const std::string& main, const Limits& limits);
// Text, spreadsheets and presentations of OpenDocument 1.3; `type` is "odt", "ods" or "odp".
base::Result<Document> extract_open_document(const Package& package, std::string type, const Limits& limits);
// EPUB 2 and 3, in the order of the spine.
base::Result<Document> extract_epub(const Package& package, const Limits& limits);
// Rich Text Format 1.9.1.
base::Result<Document> extract_rtf(std::string_view bytes, const Limits& limits);
// Comma-separated values (RFC 4180), or with semicolons, tabs or bars; `text` in UTF-8.
base::Result<Document> extract_delimited(std::string_view text, bool tabs, const Limits& limits);
// JSON (RFC 8259), or one value a line; `text` in UTF-8.
base::Result<Document> extract_json(std::string_view text, const Limits& limits);
// A message (RFC 5322) with its MIME parts (RFC 2045 to 2047, 2231). `depth` counts the messages around it.
base::Result<Document> extract_mail(std::string_view bytes, const Limits& limits, int depth);
bool looks_like_mail(std::string_view bytes);
// A picture of a page; with `pages`, a TIFF file of several.
base::Result<Document> extract_image(std::string_view bytes, bool pages, const Limits& limits);
struct RecognisedPage;
// Puts on the report how the recognition of a page went.
void note_recognised(Report& report, std::uint32_t page, const RecognisedPage& read);
// Why a document of pictures alone has no text.
base::Error no_text_in_pictures(const Report& report);
// A message as Outlook saves it (MS-OXMSG).
base::Result<Document> extract_msg(std::string_view bytes, const Limits& limits, int depth);

// Puts an attachment's text under its name, or the reason why it was not read. Errors: TooLarge.
base::Result<void> add_attachment(DocumentBuilder& builder, const std::string& name, std::string_view content,
                                  const Limits& limits, int depth);

// By content first, the name's extension second, as extract_any, but inside a message.
base::Result<Document> extract_attachment(std::string_view name, std::string_view bytes, const Limits& limits,
                                          int depth);

// Puts a document's blocks behind those of another; its headings stand `levels` lower.
void append_blocks(DocumentBuilder& builder, const Document& document, int levels);

}  // namespace bulkhead::extract
