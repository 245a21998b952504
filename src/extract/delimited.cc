// Comma-separated values (RFC 4180), and the kinds of it with other delimiters.
#include <algorithm>
#include <array>
#include <set>

#include "extract/readers.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSampleRecords = 200;
constexpr std::size_t kColumnsMax = 16'384;
constexpr std::size_t kLabelBytesMax = 100;

using Record = std::vector<std::string>;

// Gives one record after the other; quotes hold delimiters, line ends and doubled quotes.
class Records {
 public:
  Records(std::string_view text, char delimiter) : rest_(text), delimiter_(delimiter) {}
  bool done() const { return rest_.empty(); }

  Record next() {
    Record record(1);
    while (!rest_.empty()) {
      char c = rest_.front();
      if (c == '"' && record.back().empty() && quoted()) {
        take_quoted(record.back());
        continue;
      }
      rest_.remove_prefix(1);
      if (c == '\n') break;
      if (c == '\r') {
        if (rest_.starts_with('\n')) rest_.remove_prefix(1);
        break;
      }
      if (c == delimiter_ && record.size() < kColumnsMax) {
        record.emplace_back();
      } else {
        record.back() += c;
      }
    }
    return record;
  }

 private:
  // A quote that nothing closes is a sign like any other, not the start of a cell that holds all the rest.
  bool quoted() const {
    for (std::size_t at = rest_.find('"', 1); at != std::string_view::npos; at = rest_.find('"', at + 2)) {
      if (at + 1 < rest_.size() && rest_[at + 1] == '"') continue;
      return true;
    }
    return false;
  }

  void take_quoted(std::string& cell) {
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      std::size_t end = std::min(rest_.find('"'), rest_.size());
      cell += rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (!rest_.starts_with('"')) return;
      cell += '"';
      rest_.remove_prefix(1);
    }
  }

  std::string_view rest_;
  char delimiter_;
};

// The one that cuts most records into the same number of cells, more than one.
char find_delimiter(std::string_view text) {
  constexpr std::array<char, 4> kCandidates = {',', ';', '\t', '|'};
  char best = ',';
  std::size_t best_score = 0;
  for (char candidate : kCandidates) {
    Records records(text, candidate);
    std::size_t same = 0, first = 0;
    for (std::size_t i = 0; i < kSampleRecords && !records.done(); ++i) {
      Record record = records.next();
      if (record.size() == 1 && record[0].empty()) continue;
      if (first == 0) first = record.size();
      if (record.size() == first) ++same;
    }
    // Decimal commas cut prices too, but seldom every row, and never into more cells than the delimiter.
    std::size_t score = first > 1 ? same * 100 + std::min<std::size_t>(first, 99) : 0;
    if (score > best_score) {
      best = candidate;
      best_score = score;
    }
  }
  return best;
}

bool has_digit(std::string_view text) { return text.find_first_of("0123456789") != std::string_view::npos; }

// "200", "-1,5", "€ 3", "2025-01-01": what a column of figures holds, unlike a name that ends in a number.
bool is_figure(std::string_view text) {
  for (std::string_view sign : {"<", ">", "-", "+", "€", "£", "$", " ", "-", "."}) {
    if (text.starts_with(sign)) text.remove_prefix(sign.size());
  }
  return !text.empty() && text.front() >= '0' && text.front() <= '9';
}

// "dose_mg", "patientId": a name that a program gave a column.
bool is_identifier(std::string_view text) {
  bool underscore_or_case = text.find('_') != std::string_view::npos;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (i > 0 && c >= 'A' && c <= 'Z' && text[i - 1] >= 'a' && text[i - 1] <= 'z') underscore_or_case = true;
    if (!std::isalnum(c) && c != '_') return false;
  }
  return underscore_or_case && !text.empty() && !has_digit(text.substr(0, 1));
}

// A first row names the columns when it is made of distinct words and stands over figures, or is made of
// names. Rows of words over words may be data: to take them for names would say what the file does not.
bool names_columns(const Record& first, const std::vector<Record>& sample) {
  if (first.size() < 2 || sample.empty()) return false;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < first.size(); ++i) {
    bool corner = i == 0 && first[i].empty();
    if ((first[i].empty() && !corner) || first[i].size() > kLabelBytesMax) return false;
    if (!first[i].empty() && first[i].find_first_not_of("0123456789.,-/: %") == std::string::npos)
      return false;
    if (!seen.insert(first[i]).second) return false;
  }
  if (std::any_of(first.begin(), first.end(), [](const std::string& cell) { return is_identifier(cell); }))
    return true;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (has_digit(first[i])) continue;
    std::size_t figures = 0, filled = 0;
    for (const Record& record : sample) {
      if (i >= record.size() || record[i].empty()) continue;
      ++filled;
      if (is_figure(record[i])) ++figures;
    }
    if (filled > 0 && figures == filled) return true;
  }
  return false;
}

void clean(Record& record) {
  for (std::string& cell : record) cell = clean_text(cell, false);
}

}  // namespace

Result<Document> extract_delimited(std::string_view text, bool tabs, const Limits& limits) {
  char delimiter = tabs ? '\t' : '\0';
  // Excel's own line that names the delimiter.
  if (text.size() > 5 && text.starts_with("sep=") && (text[5] == '\r' || text[5] == '\n')) {
    delimiter = text[4];
    text.remove_prefix(text[5] == '\r' && text.substr(6).starts_with('\n') ? 7 : 6);
  }
  if (delimiter == '\0') delimiter = find_delimiter(text);
  DocumentBuilder builder("csv", limits);
  Records records(text, delimiter);
  Record header;
  std::vector<Record> sample;
  auto add = [&](const Record& record) { builder.add(BlockKind::TableRow, row_text(header, record)); };
  auto decide = [&] {
    if (!sample.empty() && names_columns(sample.front(), {sample.begin() + 1, sample.end()})) {
      header = std::move(sample.front());
      sample.erase(sample.begin());
    }
    std::for_each(sample.begin(), sample.end(), add);
    sample.clear();
  };
  std::size_t taken = 0;
  while (!records.done() && !builder.full()) {
    Record record = records.next();
    clean(record);
    if (std::all_of(record.begin(), record.end(), [](const std::string& cell) { return cell.empty(); }))
      continue;
    if (++taken <= kSampleRecords) {
      sample.push_back(std::move(record));
      continue;
    }
    if (!sample.empty()) decide();
    add(record);
  }
  decide();
  return builder.take();
}

}  // namespace bulkhead::extract
