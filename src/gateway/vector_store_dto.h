// Vector stores, their files and search results in OpenAI's shapes.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/call.h"
#include "rag/retriever.h"
#include "storage/store.h"

namespace bulkhead::gateway {

struct AttachmentCounts {
  std::uint64_t in_progress = 0, completed = 0, failed = 0;
};
AttachmentCounts count_attachments(const std::vector<storage::AttachmentRecord>& attachments);

// The attachments of one store that the caller may read, all pages: also a count of withheld ones would
// tell that they are there. NotFound when there is no such store.
base::Task<base::Result<std::vector<storage::AttachmentRecord>>> readable_attachments(Call& call,
                                                                                      base::VectorStoreId id,
                                                                                      bool ascending);

// Whoever looks at a file whose indexing was cut short sets it going again.
void resume_unfinished(Call& call, const std::vector<storage::AttachmentRecord>& attachments);

std::string vector_store_json(const Call& call, const storage::VectorStoreRecord& record,
                              const AttachmentCounts& counts);
// With what was read of the file, where that is known; `file` may be null.
std::string attachment_json(const storage::AttachmentRecord& attachment, const storage::FileRecord* file);
std::string_view attachment_status_name(storage::AttachmentStatus status);
std::string search_json(std::string_view query, const rag::Retrieval& found);

}  // namespace bulkhead::gateway
