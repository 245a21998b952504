// The form of a subject, as a backup from elsewhere may hold it: what is read gives back exactly the same
// bytes when it is written, under a name that is a subject's; all else is refused with a word on it.
#include "check.h"
#include "storage/subject.h"

namespace {

using namespace bulkhead;
using fuzz::require;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view form = fuzz::text_of(data, size);
  auto subject = storage::decode_subject(form);
  if (!subject) {
    fuzz::require_told(subject.error());
    return 0;
  }
  std::string again;
  storage::encode_subject(*subject, [&](base::ByteView piece) { again.append(base::as_text(piece)); });
  require(again == form, "one form a subject");
  require(storage::encoded_bytes(*subject) == form.size(), "its length is known before");
  require(storage::digest_of(*subject) == crypto::sha256(form), "its digest is that of its form");
  require(storage::subject_kind(storage::subject_name(*subject)).has_value(), "its name is a subject's");
  return 0;
}
