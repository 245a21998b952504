// The other request bodies and query parameters: "query string, LF, JSON". Each reader refuses with a
// 4xx that says what is wrong, or gives values within their bounds that survive being written again.
#include "base/json.h"
#include "check.h"
#include "gateway/audit_query.h"
#include "gateway/dto.h"
#include "gateway/file_access.h"
#include "http/request_parser.h"
#include "tenancy/tenant.h"

namespace {

using namespace bulkhead;
using fuzz::require;
namespace json = base::json;

void check_refusal(const base::Error& error) {
  fuzz::require_told(error);
  int status = gateway::map_error(error).status;
  require(status >= 400 && status < 500, "a client's mistake is a 4xx");
  auto body = json::Document::parse(gateway::error_response(error).body);
  require(body.ok() && body->root()["error"]["message"].is_string(),
          "the error's body is JSON with a message");
}

void check_policy(const json::Value& root) {
  auto policy = tenancy::TenantPolicy::from_json(root);
  if (!policy) return check_refusal(policy.error());
  require(policy->relevance_threshold >= 0 && policy->relevance_threshold <= 1, "a threshold is in range");
  require(policy->limits.requests_per_minute >= 1 && policy->limits.concurrent_requests >= 1,
          "limits are positive");
  std::string once = policy->to_json();
  auto written = json::Document::parse(once);
  require(written.ok(), "a policy is written as JSON");
  auto again = tenancy::TenantPolicy::from_json(written->root());
  require(again.ok() && again->to_json() == once, "a written policy is read as it was");
}

void check_access(const json::Value& root) {
  auto read = gateway::read_access(root, "access");
  if (!read) return check_refusal(read.error());
  bool listed = !read->users.empty() || !read->groups.empty() || !read->roles.empty();
  require(!(read->shared_with_tenant && listed), "access is shared or listed, not both");
  json::Writer writer;
  gateway::write_access(writer, *read);
  auto written = json::Document::parse(writer.text());
  require(written.ok(), "access is written as JSON");
  auto again = gateway::read_access(written->root(), "access");
  require(again.ok() && again->users == read->users && again->groups == read->groups &&
              again->roles == read->roles && again->shared_with_tenant == read->shared_with_tenant,
          "written access is read as it was");
}

// One object with members of every kind, as the handlers read theirs.
void check_reader(const json::Value& root) {
  gateway::ObjectReader reader(root, "body");
  auto text = reader.text("name", 16);
  auto number = reader.integer("limit", -5, 50);
  auto real = reader.real("ratio", 0, 1);
  reader.flag("flag");
  auto list = reader.texts("list", 3, 8);
  auto metadata = reader.metadata("metadata");
  reader.unsupported("tools", "tools are not served.");
  reader.unsupported_unless("n", 1, "one answer a request.");
  reader.unsupported_unless_false("logprobs", "not given out.");
  auto finished = reader.finish();
  if (!finished) return check_refusal(finished.error());
  require(!text || text->size() <= 16, "a text stays in its bound");
  require(!number || (*number >= -5 && *number <= 50), "a number stays in its range");
  require(!real || (*real >= 0 && *real <= 1), "a real stays in its range");
  require(list.size() <= 3, "a list stays in its bound");
  if (metadata) {
    auto pairs = json::Document::parse(*metadata);
    require(pairs.ok() && pairs->root().is_object() && pairs->root().size() <= 16,
            "metadata is an object of pairs");
  }
}

void check_query(std::string_view line) {
  http::RequestParser parser({});
  std::string text = "GET /v1/files?" + std::string(line) + " HTTP/1.1\r\nhost: a\r\n\r\n";
  std::size_t consumed = 0;
  if (parser.feed(text, consumed) != http::RequestParser::State::Done) return;
  http::Request request = parser.take();
  if (auto page = gateway::read_page(request, {"purpose"})) {
    require(page->limit >= 1 && page->limit <= 100, "a page's size is in range");
  } else {
    check_refusal(page.error());
  }
  auto query = gateway::read_audit_query(request);
  if (!query) check_refusal(query.error());
  require(gateway::refuse_query(request).ok() == request.query.empty(), "no parameter passes unseen");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body = fuzz::text_of(data, size);
  check_query(fuzz::take_line(body));
  http::Request request;
  request.headers.set("content-type", "application/json");
  request.body = body;
  auto document = gateway::read_optional_json_object(request);
  if (!document) {
    check_refusal(document.error());
    return 0;
  }
  require(document->root().is_object(), "a body is an object");
  check_policy(document->root());
  check_access(document->root());
  check_reader(document->root());
  return 0;
}
