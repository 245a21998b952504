// Rows of tables, whatever the format: spans filled, columns named, each row a line that stands alone.
//
// A row names the columns only where the document says so; a table of nothing but such rows is told as
// plain rows. Thread safety: none.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "extract/document.h"

namespace bulkhead::extract {

struct TableCell {
  std::string text;
  std::size_t columns = 1, rows = 1;  // that it spans; rows 0 means: to the end of the table
  bool header = false;                // names its column, or its row
};

// A further paragraph or item of a cell, parted from what the cell holds so that words don't run together.
void append_to_cell(std::string& cell, std::string_view text);

class TableBuilder {
 public:
  // Called with each row's line, in order.
  using Sink = std::function<void(std::string)>;
  explicit TableBuilder(Sink sink) : sink_(std::move(sink)) {}

  // `names_columns`: the document says that this row is one of headings.
  void begin_row(bool names_columns);
  void add(TableCell cell);
  void end_row();
  // The rows that named columns of nothing come as rows of their own.
  void end();

  // Bounds (the HTML standard's own): what goes beyond is read without its span.
  static constexpr std::size_t kColumnsMax = 1'000;
  static constexpr std::size_t kSpannedRowsMax = 65'534;
  // Of what stands before a cell; a longer heading is a row of its own.
  static constexpr std::size_t kLabelBytesMax = 1'000;

 private:
  // What stands in a column of the open row. `first` is false where a cell to the left reaches over.
  struct Slot {
    std::string text;
    std::size_t rows_left = 0;
    bool filled = false, first = true, header = false;
  };

  bool fits_labels() const;
  void name_columns();
  std::string line() const;
  std::string label_of(std::size_t from, std::size_t to) const;

  Sink sink_;
  std::vector<Slot> row_;
  std::vector<std::string> labels_;
  std::vector<std::string> pending_;  // lines of the heading rows since the last row
  std::size_t column_ = 0;
  bool in_row_ = false, names_columns_ = false, headings_open_ = false;
};

}  // namespace bulkhead::extract
