// Which runs of a page may be cells of one row: poppler reads columns one after the other, those of a
// chart like those of a newspaper.
#pragma once

#include <cstddef>
#include <vector>

#include "extract/pdf_layout.h"

namespace bulkhead::extract {

// Runs that follow each other down the page, strip by strip.
class PdfColumns {
 public:
  explicit PdfColumns(const std::vector<PdfRun>& runs);

  // The runs in other columns of the same chart on the height of runs[i].
  std::vector<std::size_t> cells_beside(std::size_t i) const;
  // Whether both are in columns of running text, which are read one after the other.
  bool are_prose(std::size_t i, std::size_t j) const;

 private:
  struct Strip {
    std::size_t from = 0, to = 0;
    double left = 0, right = 0;
    double words = 0;    // of the run in the middle of their order
    bool tight = false;  // lines as those of running text
    bool cells = false;  // single words or figures, or short and not as close as lines of text
    std::vector<std::size_t> mates;
  };

  Strip strip_of(std::size_t from, std::size_t to) const;
  bool is_chart(const Strip& a, const Strip& b) const;
  std::size_t level_run(const Strip& strip, const PdfRun& run) const;

  const std::vector<PdfRun>& runs_;
  std::vector<Strip> strips_;
  std::vector<std::size_t> strip_of_run_;
};

}  // namespace bulkhead::extract
