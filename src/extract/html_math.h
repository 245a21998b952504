// Formulas of pages (MathML Core) as a line that reads aloud: "x=(a+b)/2", "10⁻³", "√(n)".
#pragma once

#include <gumbo.h>

#include <string>

namespace bulkhead::extract {

// Of a `math` element. What is nested deeper than the reader follows, and annotations, which say the same
// again in another language, are left out.
std::string page_math_text(const GumboNode* math);

}  // namespace bulkhead::extract
