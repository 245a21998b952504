// How a spreadsheet shows a number (ECMA-376 part 1, 18.8.30 and 18.8.31): dates, times, percentages,
// currencies, decimals, thousands. What is shown depends on no locale: dates are ISO 8601.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace bulkhead::extract {

// The code of a built-in format, "General" for those that have none.
std::string_view builtin_number_format(int id);

// `value` is the cell's number as it is written in the file; `from_1904` is the workbook's date system. A
// value that is no number is given back as it is.
std::string shown_number(const std::string& value, std::string_view code, bool from_1904);

}  // namespace bulkhead::extract
