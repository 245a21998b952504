#include "extract/table.h"

#include <algorithm>

namespace bulkhead::extract {

void append_to_cell(std::string& cell, std::string_view text) {
  if (text.empty()) return;
  std::size_t last = cell.find_last_not_of(" \t\r\n\f");
  if (last != std::string::npos) {
    bool ends = std::string_view(".,;:!?-(").find(cell[last]) != std::string_view::npos;
    cell += ends ? " " : ", ";
  }
  cell += text;
}

void TableBuilder::begin_row(bool names_columns) {
  end_row();
  in_row_ = true;
  names_columns_ = names_columns;
  column_ = 0;
  // A cell from above goes on; whatever ended in the row before makes room.
  for (Slot& slot : row_) {
    if (slot.rows_left > 0) {
      --slot.rows_left;
    } else {
      slot = Slot{};
    }
  }
}

void TableBuilder::add(TableCell cell) {
  if (!in_row_) begin_row(false);
  while (column_ < row_.size() && row_[column_].filled) ++column_;
  if (column_ >= kColumnsMax) return;
  std::size_t columns = std::min(std::max<std::size_t>(1, cell.columns), kColumnsMax - column_);
  std::size_t rows = cell.rows == 0 ? kSpannedRowsMax : std::min(cell.rows, kSpannedRowsMax);
  for (std::size_t i = 0; i < columns; ++i, ++column_) {
    if (column_ == row_.size()) row_.emplace_back();
    if (i > 0 && row_[column_].filled) break;  // cells that overlap: the earlier one stays
    // One copy whatever the span: a long cell across a thousand columns is one text.
    row_[column_] = {i == 0 ? cell.text : std::string(), rows - 1, true, i == 0, cell.header};
  }
}

// The label of a cell over the columns [from, to): what stands above them, each word once.
std::string TableBuilder::label_of(std::size_t from, std::size_t to) const {
  std::string label;
  for (std::size_t i = from; i < std::min(to, labels_.size()); ++i) {
    if (labels_[i].empty() || (i > from && labels_[i] == labels_[i - 1])) continue;
    if (!label.empty()) label += ", ";
    label += labels_[i];
  }
  return label;
}

// "Dose: 5 mg; Route: oral". A cell that names its row stands before the row's other cells.
std::string TableBuilder::line() const {
  std::string line;
  bool after_name = false;
  for (std::size_t i = 0; i < row_.size();) {
    std::size_t end = i + 1;
    while (end < row_.size() && row_[end].filled && !row_[end].first) ++end;
    const Slot& slot = row_[i];
    if (slot.filled && !slot.text.empty()) {
      bool whole_row = i == 0 && end == row_.size() && end > 1;
      std::string label = whole_row ? "" : label_of(i, end);
      if (!line.empty()) line += after_name ? " " : "; ";
      if (!label.empty()) line += label.ends_with(':') ? label + " " : label + ": ";
      line += slot.text;
      after_name = slot.text.ends_with(':');
      if (slot.header && label.empty() && !after_name && !whole_row && !names_columns_ && end < row_.size()) {
        line += ':';
        after_name = true;
      }
    }
    i = end;
  }
  return line;
}

// False for texts that are too long to stand before every cell of a column; such a row is told as it is.
bool TableBuilder::fits_labels() const {
  return std::all_of(row_.begin(), row_.end(), [this](const Slot& slot) {
    std::size_t at = static_cast<std::size_t>(&slot - row_.data());
    std::size_t above = headings_open_ && at < labels_.size() ? labels_[at].size() : 0;
    return slot.text.size() + above <= kLabelBytesMax;
  });
}

// Rows of headings one below the other give one label a column: "Dose adults".
void TableBuilder::name_columns() {
  if (!headings_open_) labels_.clear();
  headings_open_ = true;
  labels_.resize(std::max(labels_.size(), row_.size()));
  std::size_t owner = 0;  // the slot whose cell reaches over the column
  for (std::size_t i = 0; i < row_.size(); ++i) {
    if (!row_[i].filled || row_[i].first) owner = i;
    const std::string& text = row_[owner].text;
    if (text.empty() || labels_[i] == text || labels_[i].ends_with(" " + text)) continue;
    if (!labels_[i].empty()) labels_[i] += ' ';
    labels_[i] += text;
  }
}

void TableBuilder::end_row() {
  if (!in_row_) return;
  in_row_ = false;
  if (names_columns_ && fits_labels()) {
    std::vector<std::string> before;
    std::swap(before, labels_);
    std::string plain = line();
    std::swap(before, labels_);
    if (!headings_open_) pending_.clear();
    name_columns();
    if (!plain.empty()) pending_.push_back(std::move(plain));
    return;
  }
  std::string text = line();
  if (text.empty()) return;
  headings_open_ = false;
  pending_.clear();
  sink_(std::move(text));
}

void TableBuilder::end() {
  end_row();
  for (std::string& line : pending_) sink_(std::move(line));
  pending_.clear();
  labels_.clear();
  row_.clear();
  headings_open_ = false;
}

}  // namespace bulkhead::extract
