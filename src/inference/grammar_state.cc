#include "inference/grammar_state.h"

#include <algorithm>

namespace bulkhead::inference {

namespace {
using Kind = GrammarElement::Kind;
}

GrammarState::GrammarState(std::shared_ptr<const Grammar> grammar, const MatchBounds& bounds)
    : grammar_(std::move(grammar)), bounds_(bounds) {
  reset();
  begin_token();
  std::vector<Id> work;
  for (std::uint32_t start : grammar_->alternatives(grammar_->root())) pass(start, kOver, work, states_);
  expand(work, states_);
}

void GrammarState::reset() {
  nodes_.clear();
  nodes_.emplace_back();  // kOver
  ids_.clear();
  expansion_ = 1;
  entries_ = 0;
}

void GrammarState::begin_token() { steps_left_ = bounds_.steps; }

bool GrammarState::spend(std::size_t steps) {
  if (steps > steps_left_) exhausted_ = true;
  steps_left_ -= std::min(steps, steps_left_);
  return !exhausted_;
}

GrammarState::Id GrammarState::node(std::uint32_t element, Id below, std::uint32_t count) {
  const Key key{element, below, count};
  if (auto found = ids_.find(key); found != ids_.end()) return found->second;
  if (nodes_.size() >= bounds_.nodes) {
    exhausted_ = true;
    return kOver;
  }
  Node made;
  made.element = element;
  made.below = below;
  made.count = count;
  made.depth = nodes_[below].depth + 1;
  nodes_.push_back(std::move(made));
  const Id id = static_cast<Id>(nodes_.size() - 1);
  ids_.emplace(key, id);
  return id;
}

GrammarState::Id GrammarState::below_after(std::uint32_t element, Id below) {
  return grammar_->at(element + 1).ends() ? below : node(element + 1, below, 0);
}

// Goes on at this element, or at what is below when the rule is over.
void GrammarState::pass(std::uint32_t element, Id below, std::vector<Id>& work, std::vector<Id>& out) {
  Id next = grammar_->at(element).ends() ? below : node(element, below, 0);
  if (exhausted_) return;
  if (next != kOver) {
    if (nodes_[next].depth <= bounds_.depth) work.push_back(next);
  } else if (std::find(out.begin(), out.end(), kOver) == out.end()) {
    out.push_back(kOver);
  }
}

void GrammarState::expand(std::vector<Id>& work, std::vector<Id>& out) {
  ++expansion_;
  while (!work.empty() && spend(1)) {
    const Id id = work.back();
    work.pop_back();
    if (nodes_[id].seen == expansion_) continue;
    nodes_[id].seen = expansion_;
    expand_one(id, work, out);
    if (out.size() > bounds_.states) exhausted_ = true;
  }
}

void GrammarState::expand_one(Id id, std::vector<Id>& work, std::vector<Id>& out) {
  const std::uint32_t element = nodes_[id].element, count = nodes_[id].count;
  const Id below = nodes_[id].below;
  const GrammarElement& one = grammar_->at(element);
  if (one.is_text()) {
    out.push_back(id);
    return;
  }
  Id follows = kOver;
  bool enters = true;
  if (one.kind == Kind::Rule) {
    follows = below_after(element, below);
  } else {
    const bool open = one.greatest == GrammarElement::kNoGreatest;
    enters = open || count < one.greatest;
    // Without an upper end only the way to the lower one is counted.
    if (enters) follows = node(element, below, open ? std::min(count + 1, one.least) : count + 1);
    if (count >= one.least) pass(element + 1, below, work, out);
  }
  if (!enters || exhausted_) return;
  const std::vector<std::uint32_t>& starts = grammar_->alternatives(one.value);
  if (!spend(starts.size())) return;
  for (std::uint32_t start : starts) pass(start, follows, work, out);
}

const std::vector<GrammarState::Id>& GrammarState::after(Id id) {
  if (!nodes_[id].expanded) {
    std::vector<Id> work, out;
    pass(nodes_[id].element + 1, nodes_[id].below, work, out);
    expand(work, out);
    entries_ += out.size();
    if (entries_ > bounds_.nodes * 4) exhausted_ = true;
    nodes_[id].after = std::move(out);
    nodes_[id].expanded = true;
  }
  return nodes_[id].after;
}

bool GrammarState::step(std::uint32_t code_point, std::vector<Id>& states) {
  std::vector<Id> matched;
  for (Id id : states) {
    if (id == kOver) continue;
    const GrammarElement& one = grammar_->at(nodes_[id].element);
    if (!spend(grammar_->effort(one))) return false;
    if (grammar_->matches(one, code_point, code_point)) matched.push_back(id);
  }
  states.clear();
  if (matched.size() == 1) {
    states = after(matched[0]);
    return !states.empty() && !exhausted_;
  }
  for (Id id : matched) {
    const std::vector<Id>& more = after(id);
    if (!spend(more.size())) return false;
    states.insert(states.end(), more.begin(), more.end());
  }
  std::sort(states.begin(), states.end());
  states.erase(std::unique(states.begin(), states.end()), states.end());
  if (states.size() > bounds_.states) exhausted_ = true;
  return !states.empty() && !exhausted_;
}

bool GrammarState::walk(std::string_view bytes, std::vector<Id>& states, Utf8State& text) {
  if (bytes.empty() || bytes[0] == '\0') return false;
  for (char byte : bytes) {
    auto code_point = text.add(static_cast<std::uint8_t>(byte));
    if (text.invalid()) return false;
    if (code_point && !step(*code_point, states)) return false;
  }
  if (!text.unfinished()) return true;
  return std::any_of(states.begin(), states.end(), [&](Id id) {
    return id != kOver && grammar_->matches(grammar_->at(nodes_[id].element), text.low(), text.high());
  });
}

bool GrammarState::allows(std::string_view bytes) {
  if (exhausted_) return false;
  std::vector<Id> states = states_;
  Utf8State text = text_;
  return walk(bytes, states, text);
}

bool GrammarState::accept(std::string_view bytes) {
  if (exhausted_) return false;
  if (nodes_.size() > bounds_.nodes / 2) compact();
  if (!walk(bytes, states_, text_)) {
    states_.clear();
    return false;
  }
  return true;
}

bool GrammarState::may_end() const {
  return !exhausted_ && !text_.unfinished() &&
         std::find(states_.begin(), states_.end(), kOver) != states_.end();
}

// Keeps what the present states stand on.
void GrammarState::compact() {
  std::vector<Node> old = std::move(nodes_);
  std::vector<Id> states = std::move(states_), moved(old.size(), kOver);
  reset();
  states_.clear();
  for (Id state : states) {
    std::vector<Id> path;
    for (Id id = state; id != kOver && moved[id] == kOver; id = old[id].below) path.push_back(id);
    for (auto id = path.rbegin(); id != path.rend(); ++id) {
      moved[*id] = node(old[*id].element, moved[old[*id].below], old[*id].count);
    }
    states_.push_back(moved[state]);
  }
}

}  // namespace bulkhead::inference
