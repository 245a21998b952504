// Running heads, feet and page numbers: what stands at the edges of several pages in one place.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "extract/pdf_layout.h"

namespace bulkhead::extract {

namespace {

constexpr double kSamePlace = 3;                         // points
constexpr int kRowsAtEdge = 3;                           // that a head or foot has at most
constexpr double kHeadSizes = 1.15;                      // larger lines with changing numbers are headings
constexpr std::size_t kPagesApart = 2;                   // left and right pages have heads of their own
constexpr int kWordLetters = 3, kWordsBeyondNumber = 3;  // "Page 3 of 9" has one such word
constexpr long kFirstNumberMax = 500;                    // by which a page's number may differ from its count

// "Page 3 of 9" as "Page # of #" with 3 and 9.
struct Pattern {
  std::string text;
  std::vector<long> numbers;
};

Pattern pattern_of(const std::string& text) {
  Pattern pattern;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (end == i) {
      pattern.text += text[i++];
      continue;
    }
    long number = -1;
    std::from_chars(text.data() + i, text.data() + end, number);
    pattern.text += '#';
    pattern.numbers.push_back(number);
    i = end;
  }
  return pattern;
}

bool same_place(const PdfRow& a, const PdfRow& b) {
  bool across = std::abs(a.left() - b.left()) < kSamePlace || std::abs(a.right() - b.right()) < kSamePlace ||
                std::abs(a.left() + a.right() - b.left() - b.right()) / 2 < kSamePlace;
  return a.rotation == b.rotation && across && std::abs(a.top() - b.top()) < kSamePlace;
}

// The same words in the same place, with numbers that are the same or go with the pages'.
bool repeats(const PdfRow& a, const PdfRow& b) {
  if (!same_place(a, b)) return false;
  Pattern one = pattern_of(a.text()), other = pattern_of(b.text());
  if (one.text != other.text || one.numbers.size() != other.numbers.size()) return false;
  long apart = static_cast<long>(b.page) - static_cast<long>(a.page);
  for (std::size_t i = 0; i < one.numbers.size(); ++i) {
    long step = other.numbers[i] - one.numbers[i];
    bool counts = step == apart && std::abs(one.numbers[i] - static_cast<long>(a.page)) <= kFirstNumberMax;
    if (step != 0 && !counts) return false;
  }
  // A number that stays the same by itself is a value, not a page's number.
  bool lone_value = one.text == "#" && one.numbers == other.numbers;
  return !lone_value;
}

// A line that counts the pages and says something else: "Ward 4, protocol of Ada Byron, page 2 of 9".
bool says_more(const std::string& text) {
  int words = 0, letters = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    bool letter = i < text.size() && (std::isalpha(static_cast<unsigned char>(text[i])) || text[i] < 0);
    if (!letter && letters >= kWordLetters) ++words;
    letters = letter ? letters + 1 : 0;
  }
  return words >= kWordsBeyondNumber;
}

struct Edges {
  std::optional<std::size_t> top, foot;
};

// The outermost rows of each page that are still there and read in the page's main direction.
std::map<std::uint32_t, Edges> edges_of(const std::vector<PdfRow>& rows, const std::vector<bool>& settled) {
  std::map<std::uint32_t, Edges> edges;
  std::map<std::uint32_t, int> rotations;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const PdfRow& row = rows[i];
    if (rotations.emplace(row.page, row.rotation).first->second != row.rotation || settled[i]) continue;
    Edges& page = edges[row.page];
    if (!page.top || row.top() < rows[*page.top].top()) page.top = i;
    if (!page.foot || row.top() > rows[*page.foot].top()) page.foot = i;
  }
  return edges;
}

double usual_size(const std::vector<PdfRow>& rows) {
  std::vector<double> sizes;
  for (const PdfRow& row : rows) sizes.push_back(row.size());
  auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  return *middle;
}

}  // namespace

void drop_furniture(std::vector<PdfRow>& rows) {
  std::set<std::string> said;
  std::vector<bool> settled(rows.size(), false);  // heads that are kept, where they stand first
  for (int round = 0; round < kRowsAtEdge && !rows.empty(); ++round) {
    double usual = usual_size(rows);
    std::map<std::uint32_t, Edges> edges = edges_of(rows, settled);
    const std::size_t said_before = said.size();
    std::vector<bool> furniture(rows.size(), false);
    auto compare = [&](std::optional<std::size_t> a, std::optional<std::size_t> b) {
      if (!a || !b || !repeats(rows[*a], rows[*b])) return;
      bool same = rows[*a].text() == rows[*b].text();
      bool heading = !same && rows[*a].size() > usual * kHeadSizes;
      if (heading) return;
      // What heads every page is said once: it may be the document's title, or name the patient.
      if ((same || says_more(rows[*a].text())) && said.insert(pattern_of(rows[*a].text()).text).second)
        settled[*a] = true;
      furniture[*a] = !settled[*a];
      furniture[*b] = !settled[*b];
    };
    for (const auto& [page, here] : edges) {
      for (std::uint32_t apart = 1; apart <= kPagesApart; ++apart) {
        auto next = edges.find(page + apart);
        if (next == edges.end()) continue;
        compare(here.top, next->second.top);
        compare(here.foot, next->second.foot);
      }
    }
    std::map<std::uint32_t, bool> keeps_something;
    for (std::size_t i = 0; i < rows.size(); ++i) keeps_something[rows[i].page] |= !furniture[i];
    std::vector<PdfRow> kept;
    std::vector<bool> kept_settled;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (furniture[i] && keeps_something[rows[i].page]) continue;
      kept.push_back(std::move(rows[i]));
      kept_settled.push_back(settled[i]);
    }
    bool nothing_found = kept.size() == rows.size() && said.size() == said_before;
    rows = std::move(kept);
    settled = std::move(kept_settled);
    if (nothing_found) return;
  }
}

}  // namespace bulkhead::extract
