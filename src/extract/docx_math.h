// Office Math (ECMA-376 part 1, 22.1) as a line that reads aloud: "D=5 mg×kg", "x=(a+b)/2", "√(n)", "10⁻³".
#pragma once

#include <pugixml.hpp>
#include <string>

namespace bulkhead::extract {

// Of an `oMath` or `oMathPara` element. What is nested deeper than the reader follows is left out.
std::string math_text(pugi::xml_node math);

}  // namespace bulkhead::extract
