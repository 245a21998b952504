// Workbooks of Office Open XML (ECMA-376 part 1, 18): sheets in the workbook's order, cells as they are
// shown.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "extract/encoding.h"
#include "extract/number_format.h"
#include "extract/readers.h"
#include "extract/xml_names.h"
#include "extract/xml_pull.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kSheetsMax = 1'000;
constexpr std::size_t kCellsMax = 4'000'000;
constexpr std::size_t kStringsMax = 4'000'000;
constexpr std::size_t kMergesMax = 100'000;
constexpr std::size_t kFilledMax = 1'000'000;  // cells that merged ones put their text into
constexpr std::size_t kHeadersMax = 200;
constexpr std::uint32_t kColumnsMax = 16'384, kRowsMax = 1'048'576;

Error too_large() {
  return Error(ExtractionError::TooLarge, "The workbook holds more cells than are taken. Split it.");
}

// An area of a sheet, rows and columns from 1, ends included.
struct Area {
  std::uint32_t row = 0, column = 0, last_row = 0, last_column = 0;
};

// "BC12" at the front; rows and columns past a sheet's end are none.
std::optional<std::pair<std::uint32_t, std::uint32_t>> take_place(std::string_view& text) {
  std::uint32_t row = 0, column = 0;
  while (!text.empty() && text.front() == '$') text.remove_prefix(1);
  while (!text.empty() && text.front() >= 'A' && text.front() <= 'Z' && column <= kColumnsMax) {
    column = column * 26 + static_cast<std::uint32_t>(text.front() - 'A' + 1);
    text.remove_prefix(1);
  }
  while (!text.empty() && text.front() == '$') text.remove_prefix(1);
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), row);
  if (failed != std::errc() || column == 0 || column > kColumnsMax || row == 0 || row > kRowsMax)
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return std::pair(row, column);
}

std::optional<Area> area_of(std::string_view text) {
  auto first = take_place(text);
  if (!first) return std::nullopt;
  Area area{first->first, first->second, first->first, first->second};
  if (!text.starts_with(':')) return area;
  text.remove_prefix(1);
  auto last = take_place(text);
  if (!last || last->first < area.row || last->second < area.column) return std::nullopt;
  std::tie(area.last_row, area.last_column) = *last;
  return area;
}

std::uint32_t number_of(const std::string& text, std::uint32_t otherwise) {
  std::uint32_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool is_on(std::string_view flag) { return flag == "1" || flag == "true"; }

struct Cell {
  std::uint32_t column = 0;
  bool bold = false, number = false;
  std::string text;
};

struct Row {
  std::uint32_t number = 0;
  std::vector<Cell> cells;

  Cell* at(std::uint32_t column) {
    auto found = std::lower_bound(cells.begin(), cells.end(), column,
                                  [](const Cell& cell, std::uint32_t c) { return cell.column < c; });
    return found != cells.end() && found->column == column ? &*found : nullptr;
  }
};

// A row that names the columns of the rows below it.
struct Header {
  Area area;
  std::map<std::uint32_t, std::string> labels;
};

struct Style {
  std::string code;  // of its number format
  bool bold = false;
};

// What a sheet says of itself besides its cells.
struct Sheet {
  std::vector<Row> rows;
  std::vector<Area> merges, filters;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> hidden_columns;

  bool hides(std::uint32_t column) const {
    return std::any_of(hidden_columns.begin(), hidden_columns.end(), [column](const auto& range) {
      return column >= range.first && column <= range.second;
    });
  }
};

// The text of a string item: its runs joined, without the reading aids above Japanese text.
std::string read_string_item(XmlPull& xml, std::string_view element) {
  std::string out;
  int phonetic = 0;
  bool in_text = false;
  const std::size_t depth = xml.depth();
  for (auto event = xml.next(); event != XmlPull::Event::End; event = xml.next()) {
    if (event == XmlPull::Event::Open) {
      if (xml.name() == "rPh") ++phonetic;
      in_text = xml.name() == "t";
    } else if (event == XmlPull::Event::Text) {
      if (in_text && phonetic == 0) out += xml.text();
    } else {
      if (xml.name() == "rPh") --phonetic;
      in_text = false;
      if (xml.name() == element && xml.depth() < depth) break;
    }
  }
  return out;
}

class Workbook {
 public:
  Workbook(const Package& package, const std::string& main, const Limits& limits)
      : package_(package), main_(main), builder_("xlsx", limits) {}

  Result<Document> read() {
    BULKHEAD_TRY(book, package_.xml(main_));
    pugi::xml_node root = book->document_element();
    if (!child_of(root, "sheets"))
      return Error(ExtractionError::Invalid, "The workbook has no sheets. Save it again.");
    from_1904_ = is_on(value_of(child_of(root, "workbookPr"), "date1904"));
    relationships_ = package_.relationships(main_);
    BULKHEAD_CHECK_OK(read_styles());
    BULKHEAD_CHECK_OK(read_strings());
    builder_.set_title(package_.title());
    std::size_t sheets = 0;
    for (pugi::xml_node sheet : child_of(root, "sheets").children()) {
      std::string_view state = value_of(sheet, "state");
      if (state == "hidden" || state == "veryHidden") continue;
      if (++sheets > kSheetsMax) return too_large();
      std::string part = target_of(value_of(sheet, "id"));
      if (part.empty()) continue;
      builder_.add(BlockKind::Heading, value_of(sheet, "name"), 1);
      BULKHEAD_CHECK_OK(read_sheet(part));
      if (builder_.full()) break;
    }
    return builder_.take();
  }

 private:
  std::string target_of(std::string_view id) const {
    for (const Relationship& each : relationships_) {
      if (each.id == id && each.type == "worksheet") return each.target;
    }
    return "";
  }

  std::string part_of_type(std::string_view type) const {
    for (const Relationship& each : relationships_) {
      if (each.type == type) return each.target;
    }
    return "";
  }

  // XML is in UTF-8 unless a mark says otherwise.
  Result<std::string> part_text(const std::string& part) const {
    BULKHEAD_TRY(text, package_.part(part, true));
    bool wide = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
    if (wide) return text_to_utf8(text);
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    return text;
  }

  Result<void> read_styles() {
    std::string part = part_of_type("styles");
    if (part.empty() || !package_.has(part)) return Result<void>();
    BULKHEAD_TRY(xml, package_.xml(part));
    pugi::xml_node root = xml->document_element();
    std::map<int, std::string> codes;
    for (pugi::xml_node format : child_of(root, "numFmts").children())
      codes[format.attribute("numFmtId").as_int()] = format.attribute("formatCode").value();
    std::vector<bool> bold;
    // Cells name fonts and formats by their count, which white space between them is not part of.
    for (pugi::xml_node font : child_of(root, "fonts").children()) {
      if (font.type() != pugi::node_element) continue;
      pugi::xml_node mark = child_of(font, "b");
      bold.push_back(mark && mark.attribute("val").as_bool(true));
    }
    for (pugi::xml_node format : child_of(root, "cellXfs").children()) {
      if (format.type() != pugi::node_element) continue;
      int id = format.attribute("numFmtId").as_int();
      std::size_t font = format.attribute("fontId").as_uint();
      auto code = codes.find(id);
      styles_.push_back({code != codes.end() ? code->second : std::string(builtin_number_format(id)),
                         font < bold.size() && bold[font]});
    }
    return Result<void>();
  }

  Result<void> read_strings() {
    std::string part = part_of_type("sharedStrings");
    if (part.empty() || !package_.has(part)) return Result<void>();
    BULKHEAD_TRY(text, part_text(part));
    XmlPull xml(text);
    for (auto event = xml.next(); event != XmlPull::Event::End; event = xml.next()) {
      if (event != XmlPull::Event::Open || xml.name() != "si") continue;
      if (strings_.size() >= kStringsMax) return too_large();
      strings_.push_back(read_string_item(xml, "si"));
    }
    return check(xml);
  }

  static Result<void> check(const XmlPull& xml) {
    if (!xml.damaged()) return Result<void>();
    return Error(ExtractionError::Invalid, "A part of the workbook is damaged. Open it and save it again.");
  }

  Result<void> read_sheet(const std::string& part) {
    Sheet sheet;
    {
      BULKHEAD_TRY(text, part_text(part));
      BULKHEAD_CHECK_OK(parse_sheet(text, sheet));
    }
    BULKHEAD_CHECK_OK(fill_merged(sheet));
    auto headers = headers_of(sheet, part);
    for (const Row& row : sheet.rows) {
      if (builder_.full()) return Result<void>();
      add_row(sheet, row, headers);
    }
    return add_drawings(part);
  }

  Result<void> parse_sheet(std::string_view text, Sheet& sheet) {
    XmlPull xml(text);
    std::uint32_t row_number = 0;
    bool hidden = false;
    for (auto event = xml.next(); event != XmlPull::Event::End; event = xml.next()) {
      if (event != XmlPull::Event::Open) continue;
      std::string_view name = xml.name();
      if (name == "row") {
        row_number = number_of(xml.attribute("r"), row_number + 1);
        hidden = is_on(xml.attribute("hidden"));
        if (row_number == 0 || row_number > kRowsMax) return check_rows();
        if (!hidden) sheet.rows.push_back({row_number, {}});
      } else if (name == "c" && !hidden && !sheet.rows.empty()) {
        if (++cells_ > kCellsMax) return too_large();
        read_cell(xml, sheet.rows.back());
      } else if (name == "col" && is_on(xml.attribute("hidden"))) {
        if (sheet.hidden_columns.size() < kHeadersMax)
          sheet.hidden_columns.emplace_back(number_of(xml.attribute("min"), 1),
                                            number_of(xml.attribute("max"), 1));
      } else if (name == "mergeCell" || name == "autoFilter") {
        std::vector<Area>& areas = name == "mergeCell" ? sheet.merges : sheet.filters;
        if (auto area = area_of(xml.attribute("ref")); area && areas.size() < kMergesMax)
          areas.push_back(*area);
      }
    }
    return check(xml);
  }

  static Error check_rows() {
    return Error(ExtractionError::Invalid, "A row of the workbook stands past a sheet's end. Save it again.");
  }

  void read_cell(XmlPull& xml, Row& row) {
    Cell cell;
    std::uint32_t next = row.cells.empty() ? 1 : row.cells.back().column + 1;
    std::string reference = xml.attribute("r");
    std::string_view place = reference;
    auto at = take_place(place);
    cell.column = at ? at->second : next;
    std::string type = xml.attribute("t");
    std::size_t style = number_of(xml.attribute("s"), 0);
    bool formula = false, in_value = false;
    std::string value;
    const std::size_t depth = xml.depth();
    for (auto event = xml.next(); event != XmlPull::Event::End; event = xml.next()) {
      if (event == XmlPull::Event::Open) {
        in_value = xml.name() == "v";
        formula = formula || xml.name() == "f";
        if (xml.name() == "is") value = read_string_item(xml, "is");
      } else if (event == XmlPull::Event::Text) {
        if (in_value) value += xml.text();
      } else {
        in_value = false;
        if (xml.depth() < depth) break;
      }
    }
    cell.text = clean_text(shown(value, type, style), false);
    if (cell.text.empty() && formula && type != "str") cell.text = "(formula without a stored value)";
    cell.bold = style < styles_.size() && styles_[style].bold;
    cell.number = type.empty() || type == "n" || type == "d";
    // Columns ascend; what breaks the order is no sheet's cell.
    bool ascends = row.cells.empty() || cell.column > row.cells.back().column;
    if (!cell.text.empty() && ascends && cell.column <= kColumnsMax) row.cells.push_back(std::move(cell));
  }

  std::string shown(const std::string& value, const std::string& type, std::size_t style) const {
    if (type == "s") {
      std::uint32_t index = number_of(value, kRowsMax * 16);
      return index < strings_.size() ? strings_[index] : std::string();
    }
    if (type == "b") return value == "1" ? "TRUE" : "FALSE";
    if (value.empty() || !(type.empty() || type == "n")) return value;
    return style < styles_.size() ? shown_number(value, styles_[style].code, from_1904_)
                                  : shown_number(value, "General", from_1904_);
  }

  // A merged cell's text stands in each of its rows, so that each can be understood alone.
  static Result<void> fill_merged(Sheet& sheet) {
    std::size_t filled = 0;
    for (const Area& area : sheet.merges) {
      if (area.row == area.last_row) continue;
      auto row = std::lower_bound(sheet.rows.begin(), sheet.rows.end(), area.row,
                                  [](const Row& each, std::uint32_t number) { return each.number < number; });
      if (row == sheet.rows.end() || row->number != area.row) continue;
      Cell* first = row->at(area.column);
      if (!first) continue;
      Cell copy = *first;
      for (++row; row != sheet.rows.end() && row->number <= area.last_row; ++row) {
        if (++filled > kFilledMax) return too_large();
        if (row->at(area.column) || row->cells.empty()) continue;
        row->cells.insert(std::lower_bound(row->cells.begin(), row->cells.end(), area.column,
                                           [](const Cell& cell, std::uint32_t c) { return cell.column < c; }),
                          copy);
      }
    }
    return Result<void>();
  }

  // Rows that name columns: those of tables and filters, else a first row that alone is bold.
  std::vector<Header> headers_of(Sheet& sheet, const std::string& part) const {
    std::vector<Area> areas;
    for (const Relationship& each : package_.relationships(part)) {
      if (each.type != "table" || areas.size() >= kHeadersMax) continue;
      auto table = package_.xml(each.target);
      if (!table) continue;
      pugi::xml_node root = (*table)->document_element();
      auto area = area_of(value_of(root, "ref"));
      if (area && root.attribute("headerRowCount").as_int(1) == 1) areas.push_back(*area);
    }
    if (areas.empty() && !sheet.filters.empty()) areas.push_back(sheet.filters.front());
    if (areas.empty()) {
      if (auto bold = bold_header(sheet)) areas.push_back(*bold);
    }
    std::vector<Header> headers;
    for (const Area& area : areas) headers.push_back({area, labels_of(sheet, area)});
    return headers;
  }

  static std::optional<Area> bold_header(const Sheet& sheet) {
    std::vector<const Row*> first;
    for (const Row& row : sheet.rows) {
      if (!row.cells.empty()) first.push_back(&row);
      if (first.size() == 2) break;
    }
    auto is_bold = [](const Cell& cell) { return cell.bold && !cell.number; };
    bool labels = first.size() == 2 && first[0]->cells.size() > 1 &&
                  std::all_of(first[0]->cells.begin(), first[0]->cells.end(), is_bold) &&
                  !std::all_of(first[1]->cells.begin(), first[1]->cells.end(), is_bold);
    if (!labels) return std::nullopt;
    return Area{first[0]->number, 1, kRowsMax, kColumnsMax};
  }

  static std::map<std::uint32_t, std::string> labels_of(Sheet& sheet, const Area& area) {
    std::map<std::uint32_t, std::string> labels;
    for (Row& row : sheet.rows) {
      if (row.number != area.row) continue;
      for (const Cell& cell : row.cells) {
        if (cell.column >= area.column && cell.column <= area.last_column) labels[cell.column] = cell.text;
      }
    }
    // A label over several columns names each of them.
    for (const Area& merge : sheet.merges) {
      if (merge.row != area.row || labels.count(merge.column) == 0) continue;
      std::string label = labels[merge.column];
      for (std::uint32_t c = merge.column + 1; c <= merge.last_column; ++c) labels.emplace(c, label);
    }
    return labels;
  }

  void add_row(const Sheet& sheet, const Row& row, const std::vector<Header>& headers) {
    std::vector<std::string> labels, texts;
    for (const Cell& cell : row.cells) {
      if (sheet.hides(cell.column)) continue;
      std::string label;
      bool is_label = false;
      for (const Header& header : headers) {
        const Area& area = header.area;
        if (cell.column < area.column || cell.column > area.last_column) continue;
        is_label = is_label || (row.number == area.row && area.last_row > area.row);
        if (row.number <= area.row || row.number > area.last_row) continue;
        auto found = header.labels.find(cell.column);
        if (found != header.labels.end()) label = found->second;
      }
      if (is_label) continue;
      labels.push_back(std::move(label));
      texts.push_back(cell.text);
    }
    builder_.add(BlockKind::TableRow, row_text(labels, texts));
  }

  // Text boxes on the sheet.
  Result<void> add_drawings(const std::string& part) {
    for (const Relationship& each : package_.relationships(part)) {
      if (each.type != "drawing" || !package_.has(each.target)) continue;
      BULKHEAD_TRY(text, part_text(each.target));
      XmlPull xml(text);
      std::string paragraph;
      bool in_text = false;
      for (auto event = xml.next(); event != XmlPull::Event::End; event = xml.next()) {
        if (event == XmlPull::Event::Open) {
          in_text = xml.name() == "t";
        } else if (event == XmlPull::Event::Text) {
          if (in_text) paragraph += xml.text();
        } else {
          in_text = false;
          if (xml.name() != "p") continue;
          builder_.add(BlockKind::Paragraph, paragraph);
          paragraph.clear();
        }
      }
      BULKHEAD_CHECK_OK(check(xml));
    }
    return Result<void>();
  }

  const Package& package_;
  const std::string& main_;
  DocumentBuilder builder_;
  std::vector<Relationship> relationships_;
  std::vector<Style> styles_;
  std::vector<std::string> strings_;
  bool from_1904_ = false;
  std::size_t cells_ = 0;
};

}  // namespace

Result<Document> extract_xlsx(const Package& package, const std::string& main, const Limits& limits) {
  return Workbook(package, main, limits).read();
}

}  // namespace bulkhead::extract
