// POST /v1/rerank: how well each document answers a query, in the form that Jina and Cohere made usual.
#include <algorithm>
#include <numeric>

#include "gateway/dto.h"
#include "gateway/generation.h"
#include "gateway/handlers.h"
#include "gateway/outcome.h"
#include "gateway/prompt_bounds.h"
#include "gateway/text_input.h"

namespace bulkhead::gateway {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::size_t kDocumentsMax = 256;
constexpr std::size_t kModelBytesMax = 128;

struct RerankBody {
  std::string model;
  std::string query;
  std::vector<std::string> documents;
  std::size_t top_n = kDocumentsMax;
  bool return_documents = false;
};

// A document is a string, or an object that holds one as `text`.
Result<std::string> read_document(const json::Value& value, const std::string& name) {
  if (auto text = value.as_string()) return clean_input(*text, name);
  if (!value.is_object()) {
    return api_error(ApiError::BadParameter, "'" + name + "' must be a string or an object with 'text'.",
                     name);
  }
  ObjectReader reader(value, name);
  auto text = reader.text("text", SIZE_MAX, true);
  BULKHEAD_CHECK_OK(reader.finish());
  return clean_input(*text, name + ".text");
}

Result<RerankBody> parse_rerank_body(const json::Value& root) {
  RerankBody body;
  ObjectReader reader(root);
  body.model = reader.text("model", kModelBytesMax, true).value_or("");
  auto query = reader.text("query", SIZE_MAX, true);
  json::Value documents = reader.value("documents");
  auto top_n = reader.integer("top_n", 1, kDocumentsMax);
  body.return_documents = reader.flag("return_documents").value_or(false);
  reader.unsupported("rank_fields", "a document is one text.");
  reader.unsupported("max_chunks_per_doc", "documents are never cut.");
  reader.unsupported("max_tokens_per_doc", "documents are never cut.");
  BULKHEAD_CHECK_OK(reader.finish());
  if (top_n) body.top_n = static_cast<std::size_t>(*top_n);
  BULKHEAD_TRY(clean, clean_input(*query, "query"));
  body.query = std::move(clean);
  if (!documents.is_array() || documents.size() == 0 || documents.size() > kDocumentsMax) {
    ApiError code = documents.exists() ? ApiError::BadParameter : ApiError::MissingParameter;
    return api_error(code, "'documents' must be a list of 1 to 256 documents.", "documents");
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    BULKHEAD_TRY(text, read_document(documents.at(i), "documents[" + std::to_string(i) + "]"));
    body.documents.push_back(std::move(text));
  }
  return body;
}

std::string ranking_json(const RerankBody& body, const std::string& model, const engine::Ranking& ranking) {
  std::vector<std::size_t> order(ranking.scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ranking.scores[a] > ranking.scores[b]; });
  order.resize(std::min(order.size(), body.top_n));
  json::Writer w;
  w.begin_object().member("object", "list").member("model", model).key("results").begin_array();
  for (std::size_t i : order) {
    w.begin_object().member("index", static_cast<std::uint64_t>(i));
    w.member("relevance_score", ranking.scores[i]);
    if (body.return_documents) {
      w.key("document").begin_object().member("text", body.documents[i]).end_object();
    }
    w.end_object();
  }
  w.end_array().key("usage").begin_object();
  w.member("prompt_tokens", ranking.tokens).member("total_tokens", ranking.tokens).end_object().end_object();
  return w.take();
}

}  // namespace

HandlerResult create_rerank(Call& call) {
  BULKHEAD_CO_CHECK_OK(refuse_query(call.request()));
  BULKHEAD_CO_TRY(document, read_json_object(call.request()));
  BULKHEAD_CO_TRY(body, parse_rerank_body(document.root()));
  Services& services = call.services;
  std::string model = services.engine_pool ? services.engine_pool->rerank_model() : std::string();
  if (model.empty() || (body.model != model && body.model != "default")) {
    co_return base::Error(engine::EngineError::ModelUnknown,
                          "There is no such rerank model. GET /v1/models lists those you can use.")
        .with_parameter("model");
  }
  BULKHEAD_CO_CHECK_OK(check_text_fits(call, model, body.query.size(), "query"));
  for (std::size_t i = 0; i < body.documents.size(); ++i) {
    BULKHEAD_CO_CHECK_OK(
        check_text_fits(call, model, body.documents[i].size(), "documents[" + std::to_string(i) + "]"));
  }
  std::vector<std::string> texts{body.query};
  texts.insert(texts.end(), body.documents.begin(), body.documents.end());
  record_inputs(call, model, texts);

  auto place = co_await services.engine_queue.enter(call.scope().tenant(), call.cancel);
  if (!place) co_return explained(call, place.take_error());
  ReadingOutcome reading(accounts_of(call), ReadingOutcome::Part::Whole);
  auto ranking = co_await services.engine.rerank(call.engine_context(), model, body.query, body.documents);
  std::size_t bytes = body.query.size() * body.documents.size();
  for (const std::string& text : body.documents) bytes += text.size();
  reading.tokens = engine::tokens_read(ranking, bytes);
  if (!ranking) co_return explained(call, ranking.take_error());
  reading.settle();
  co_return Reply::json(200, ranking_json(body, model, *ranking));
}

}  // namespace bulkhead::gateway
