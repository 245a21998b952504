#include "engine/stream_reader.h"

#include <algorithm>
#include <utility>

#include "engine/openai_wire.h"

namespace bulkhead::engine::wire {

namespace json = base::json;
using base::Result;

namespace {

constexpr std::int64_t kCallsMax = 128;
constexpr std::size_t kCallBytesMax = 4u << 20;

}  // namespace

StreamReader::StreamReader(std::size_t choices, bool raw_prompt) : raw_prompt_(raw_prompt), calls_(choices) {
  result_.choices.resize(choices);
}

std::optional<Piece> StreamReader::next() {
  if (pieces_.empty()) return std::nullopt;
  Piece piece = std::move(pieces_.front());
  pieces_.pop_front();
  return piece;
}

Result<void> StreamReader::feed(std::string_view event) {
  if (event == "[DONE]") {
    for (std::size_t i = 0; i < calls_.size(); ++i) give_out_calls(i);
    for (Choice& choice : result_.choices) {
      if (choice.finish_reason == FinishReason::None) return bad_answer("stream: a choice without an end");
    }
    done_ = true;
    return {};
  }
  auto document = json::Document::parse(event);
  if (!document) return bad_answer("stream: " + document.error().describe());
  json::Value root = document->root();
  if (root["error"].is_object()) return bad_answer("stream: engine reported an error");
  json::Value choices = root["choices"];
  bool content = false;
  for (std::size_t i = 0; i < choices.size(); ++i) BULKHEAD_CHECK_OK(read_choice(choices.at(i), content));
  auto told = read_usage(root["usage"]);
  const bool progress = told && choices.size() == 0 && result_.choices[0].finish_reason == FinishReason::None;
  count(content, std::move(told));
  if (progress) pieces_.emplace_back();
  read_burn(root, result_);
  return {};
}

void StreamReader::count(bool content, std::optional<Usage> told) {
  if (content) ++counted_;
  if (told) {
    told_ = told;
    told_->completion_tokens = std::max(told_->completion_tokens, counted_);
  } else if (content && told_) {
    ++told_->completion_tokens;
  }
  result_.usage = reckon_usage(told_, counted_, text_bytes_ + call_bytes_);
}

Result<void> StreamReader::read_choice(const json::Value& choice, bool& content) {
  auto number = choice["index"].as_int().value_or(0);
  if (number < 0 || static_cast<std::size_t>(number) >= result_.choices.size()) {
    return bad_answer("stream: wrong index of a choice");
  }
  Piece piece;
  piece.choice = static_cast<std::size_t>(number);
  json::Value delta = choice["delta"];
  if (auto text = (raw_prompt_ ? choice["text"] : delta["content"]).as_string())
    piece.text = std::string(*text);
  piece.logprobs = copy_logprobs(choice["logprobs"]);
  if (!raw_prompt_) BULKHEAD_CHECK_OK(read_call_fragments(delta["tool_calls"], calls_[piece.choice]));
  std::size_t index = piece.choice;
  text_bytes_ += piece.text.size();
  if (!piece.empty()) {
    content = true;
    pieces_.push_back(std::move(piece));
  }
  if (auto reason = choice["finish_reason"].as_string()) {
    result_.choices[index].finish_reason = read_finish_reason(*reason);
    give_out_calls(index);
  }
  return {};
}

Result<void> StreamReader::read_call_fragments(const json::Value& list, std::vector<ToolCall>& calls) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    json::Value fragment = list.at(i);
    auto index = fragment["index"].as_int().value_or(static_cast<std::int64_t>(i));
    // Calls come in order: a fragment belongs to a call that is open, or opens the next one.
    if (index < 0 || index >= kCallsMax || index > static_cast<std::int64_t>(calls.size())) {
      return bad_answer("stream: wrong index of a tool call");
    }
    if (index == static_cast<std::int64_t>(calls.size())) calls.emplace_back();
    ToolCall& call = calls[static_cast<std::size_t>(index)];
    json::Value function = fragment["function"];
    if (auto id = fragment["id"].as_string(); id && !id->empty()) call.id = std::string(*id);
    if (auto name = function["name"].as_string(); name && call.name.empty()) call.name = std::string(*name);
    if (auto arguments = function["arguments"].as_string()) {
      call_bytes_ += arguments->size();
      if (call_bytes_ > kCallBytesMax) return bad_answer("stream: tool calls are too long");
      call.arguments += *arguments;
    }
  }
  return {};
}

void StreamReader::give_out_calls(std::size_t choice) {
  if (calls_[choice].empty()) return;
  Piece piece;
  piece.choice = choice;
  piece.tool_calls = std::exchange(calls_[choice], {});
  for (std::size_t i = 0; i < piece.tool_calls.size(); ++i) {
    piece.tool_calls[i].id = tool_call_id(piece.tool_calls[i].id, i);
  }
  pieces_.push_back(std::move(piece));
}

}  // namespace bulkhead::engine::wire
