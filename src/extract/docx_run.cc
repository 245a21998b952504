#include "extract/docx_run.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "extract/docx_math.h"
#include "extract/script_text.h"
#include "extract/symbol_font.h"
#include "extract/xml_names.h"

namespace bulkhead::extract {

namespace {

// What isn't text of the document as it stands: properties, deletions, codes of fields.
constexpr std::array<std::string_view, 9> kLeftOut = {
    "del", "moveFrom", "delText", "delInstrText", "instrText", "pPr", "rPr", "sdtPr", "sectPr"};

bool is_left_out(std::string_view name) {
  return std::find(kLeftOut.begin(), kLeftOut.end(), name) != kLeftOut.end();
}

bool holds_text(pugi::xml_node node) {
  return static_cast<bool>(node.find_node([](pugi::xml_node one) { return local_name(one) == "t"; }));
}

// Of the forms of one content (markup compatibility, ECMA-376 part 3): the first, or the fallback when only
// that has text.
pugi::xml_node chosen_form(pugi::xml_node alternatives) {
  pugi::xml_node choice = child_of(alternatives, "Choice"), fallback = child_of(alternatives, "Fallback");
  return !choice || (!holds_text(choice) && holds_text(fallback)) ? fallback : choice;
}

class Collector {
 public:
  Collector(pugi::xml_node paragraph, const DocxStyles& styles)
      : styles_(styles), style_(value_of(child_of(child_of(paragraph, "pPr"), "pStyle"))) {}

  void collect(pugi::xml_node node, int depth) {
    if (depth > kDocxDepthMax) return;
    for (pugi::xml_node child : node.children()) collect_one(child, depth);
  }

  ParagraphText take() { return std::move(out_); }

 private:
  void collect_one(pugi::xml_node node, int depth) {
    std::string_view name = local_name(node);
    if (name == "fldChar") return field_mark(value_of(node, "fldCharType"));
    if (name == "instrText") return field_code(node.text().get());
    if (name == "fldSimple") return simple_field(node, depth);
    if (is_left_out(name) || in_page_number()) return;
    if (name == "r") return run(node, depth);
    if (name == "t") return add(node.text().get());
    if (name == "oMath" || name == "oMathPara") return add(math_text(node));
    if (name == "tab" || name == "br" || name == "cr" || name == "ptab") return add(" ");
    if (name == "noBreakHyphen") return add("-");
    if (name == "sym") return symbol(node);
    if (name == "txbxContent") {
      out_.boxes.push_back(node);
    } else if (name == "AlternateContent") {
      collect(chosen_form(node), depth + 1);
    } else if (name == "sdt") {
      bool is_prompt = is_on(child_of(child_of(node, "sdtPr"), "showingPlcHdr"));
      if (!is_prompt) collect(child_of(node, "sdtContent"), depth + 1);
    } else if (name == "ruby") {
      // The reading comes first in the file and is shown above what it reads.
      collect(child_of(node, "rubyBase"), depth + 1);
      add("(");
      collect(child_of(node, "rt"), depth + 1);
      add(")");
    } else {
      collect(node, depth + 1);
    }
  }

  void run(pugi::xml_node node, int depth) {
    pugi::xml_node properties = child_of(node, "rPr");
    if (styles_.is_hidden(properties, style_)) {
      // The marks of fields count even where they are hidden.
      for (pugi::xml_node child : node.children()) {
        if (local_name(child) == "fldChar" || local_name(child) == "instrText") collect_one(child, depth);
      }
      return;
    }
    pugi::xml_node fonts = child_of(properties, "rFonts");
    std::string font(value_of(fonts, "ascii"));
    std::swap(font, font_);
    bool raised = value_of(child_of(properties, "vertAlign")) == "superscript";
    std::swap(raised, raised_);
    collect(node, depth + 1);
    std::swap(raised, raised_);
    std::swap(font, font_);
  }

  void add(std::string_view text) {
    std::string signs = with_symbols(font_, text);
    out_.text += raised_ ? superscript(signs) : signs;
  }

  void symbol(pugi::xml_node node) {
    std::string code(value_of(node, "char"));
    out_.text += symbol_text(value_of(node, "font"),
                             static_cast<std::uint32_t>(std::strtoul(code.c_str(), nullptr, 16)));
  }

  // A field is its code between "begin" and "separate", and what it shows up to "end".
  struct Field {
    bool in_code = true, page_number = false;
    std::string code;
  };
  static constexpr std::size_t kFieldsMax = 64, kCodeBytesMax = 256;

  static bool is_page_number(std::string_view code) {
    code.remove_prefix(std::min(code.size(), code.find_first_not_of(' ')));
    std::string_view word = code.substr(0, code.find(' '));
    return word == "PAGE" || word == "NUMPAGES" || word == "SECTIONPAGES";
  }

  bool in_page_number() const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [](const Field& field) { return !field.in_code && field.page_number; });
  }

  void field_mark(std::string_view type) {
    if (type == "begin" && fields_.size() < kFieldsMax) {
      fields_.emplace_back();
    } else if (type == "separate" && !fields_.empty()) {
      fields_.back().in_code = false;
      fields_.back().page_number = is_page_number(fields_.back().code);
      out_.has_page_number = out_.has_page_number || fields_.back().page_number;
    } else if (type == "end" && !fields_.empty()) {
      out_.has_page_number = out_.has_page_number || is_page_number(fields_.back().code);
      fields_.pop_back();
    }
  }

  void field_code(std::string_view code) {
    if (!fields_.empty() && fields_.back().code.size() + code.size() <= kCodeBytesMax)
      fields_.back().code += code;
  }

  void simple_field(pugi::xml_node node, int depth) {
    if (is_page_number(value_of(node, "instr"))) {
      out_.has_page_number = true;
    } else {
      collect(node, depth + 1);
    }
  }

  const DocxStyles& styles_;
  std::string style_, font_;
  bool raised_ = false;
  std::vector<Field> fields_;
  ParagraphText out_;
};

}  // namespace

ParagraphText paragraph_text(pugi::xml_node paragraph, const DocxStyles& styles) {
  Collector collector(paragraph, styles);
  collector.collect(paragraph, 0);
  return collector.take();
}

bool is_all_bold(pugi::xml_node node, const DocxStyles& styles) {
  bool any = false, all = true;
  struct Step {
    pugi::xml_node node;
    std::string_view style;
  };
  std::vector<Step> stack = {{node, ""}};
  while (!stack.empty() && all) {
    Step step = stack.back();
    stack.pop_back();
    for (pugi::xml_node child : step.node.children()) {
      std::string_view name = local_name(child);
      if (name == "r" && !child_of(child, "t").text().empty()) {
        any = true;
        all = all && styles.is_bold(child_of(child, "rPr"), step.style);
      } else if (!is_left_out(name)) {
        std::string_view style =
            name == "p" ? value_of(child_of(child_of(child, "pPr"), "pStyle")) : step.style;
        stack.push_back({child, style});
      }
    }
  }
  return any && all;
}

}  // namespace bulkhead::extract
