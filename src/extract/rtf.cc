// Rich Text Format 1.9.1: groups in braces, control words behind backslashes, bytes in code pages.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "extract/readers.h"
#include "extract/rtf_scanner.h"
#include "extract/rtf_text.h"

namespace bulkhead::extract {

using base::Error;
using base::Result;

namespace {

constexpr std::size_t kGroupsMax = 500;
constexpr std::size_t kCellsMax = 1'000;
constexpr std::size_t kNotesMax = 20'000;

// What a group takes over from the one around it and loses at its end.
struct State {
  enum class Target { Text, Skip, Fonts, Styles, Title, Number } target = Target::Text;
  bool hidden = false;
  bool starred = false;   // \* came: an unknown word that follows makes a group to skip
  bool unnamed = false;   // no control word of the group was seen
  bool own_flow = false;  // a note: its text stands apart from the text around it
  int unicode_skip = 1;   // \uc
  int code_page = 1252;
};

// A run of paragraphs: the body, or a note, a header, a footer in it.
struct Flow {
  std::string text;
  std::vector<std::string> cells;
  bool in_table = false, item = false;
  int level = 0;
};

struct CellRule {
  bool continues_above = false, continues_left = false;
};

class Reader {
 public:
  Reader(std::string_view bytes, const Limits& limits) : scanner_(bytes), builder_("rtf", limits) {}

  Result<Document> read() {
    groups_.push_back(State{});
    flows_.emplace_back();
    while (!scanner_.done() && !builder_.full()) {
      char c = scanner_.front();
      if (c == '{') {
        if (groups_.size() >= kGroupsMax)
          return Error(ExtractionError::Invalid, "The file's groups are nested too deeply. Save it as DOCX.");
        open_group();
      } else if (c == '}') {
        close_group();
      } else if (c == '\\') {
        read_control();
      } else {
        scanner_.skip(1);
        if (c != '\r' && c != '\n') add_byte(c);
      }
    }
    flush_bytes();
    while (flows_.size() > 1) end_flow();
    end_table_rest();
    end_paragraph();
    for (const std::string& note : notes_) builder_.add(BlockKind::Paragraph, note);
    return builder_.take();
  }

 private:
  using Target = State::Target;
  State& state() { return groups_.back(); }
  Flow& flow() { return flows_.back(); }

  void open_group() {
    flush_bytes();
    scanner_.skip(1);
    State inner = state();
    inner.starred = inner.own_flow = false;
    inner.unnamed = true;
    groups_.push_back(inner);
    skip_left_ = 0;
  }

  void close_group() {
    flush_bytes();
    scanner_.skip(1);
    skip_left_ = 0;
    if (state().target == Target::Styles) end_style();
    if (state().own_flow && flows_.size() > 1) end_flow();
    if (groups_.size() > 1) groups_.pop_back();
  }

  void read_control() {
    RtfControl control = scanner_.control();
    if (control.word == "bin")
      return scanner_.skip(static_cast<std::size_t>(std::max(0, control.number.value_or(0))));
    if (control.word == "'") {
      if (auto byte = scanner_.hex_byte()) add_byte(*byte);
      return;
    }
    // A control word in the place of a character that \u replaces counts as one.
    if (skip_left_ > 0) {
      --skip_left_;
      return;
    }
    if (control.word == "u") return add_unicode(control.number.value_or(0));
    flush_bytes();
    bool first = state().unnamed;
    if (control.word == "*") {
      state().starred = true;
      return;
    }
    state().unnamed = false;
    if (start_destination(control.word)) return;
    if (first && state().starred) state().target = Target::Skip;
    if (state().target == Target::Skip) return;
    if (set_character_state(control) || set_paragraph_state(control) || read_table_word(control)) return;
    add_sign(control.word);
  }

  // True when the word says what the group holds.
  bool start_destination(const std::string& word) {
    static const std::map<std::string, Target> kTargets = {{"fonttbl", Target::Fonts},
                                                           {"stylesheet", Target::Styles},
                                                           {"title", Target::Title},
                                                           {"colortbl", Target::Skip},
                                                           {"pict", Target::Skip},
                                                           {"nonshppict", Target::Skip},
                                                           {"sp", Target::Skip},
                                                           {"shprslt", Target::Skip},
                                                           {"objdata", Target::Skip},
                                                           {"annotation", Target::Skip},
                                                           {"atnid", Target::Skip},
                                                           {"atnauthor", Target::Skip},
                                                           {"fldinst", Target::Skip},
                                                           {"xe", Target::Skip},
                                                           {"tc", Target::Skip},
                                                           {"listtable", Target::Skip},
                                                           {"revtbl", Target::Skip},
                                                           {"themedata", Target::Skip},
                                                           {"private", Target::Skip},
                                                           {"filetbl", Target::Skip},
                                                           {"bkmkstart", Target::Skip},
                                                           {"nonesttables", Target::Skip},
                                                           {"nesttableprops", Target::Skip},
                                                           {"ftnsep", Target::Skip},
                                                           {"ftnsepc", Target::Skip},
                                                           {"aftnsep", Target::Skip},
                                                           {"aftnsepc", Target::Skip},
                                                           {"falt", Target::Skip},
                                                           {"panose", Target::Skip},
                                                           {"upr", Target::Skip},
                                                           {"author", Target::Skip},
                                                           {"operator", Target::Skip},
                                                           {"company", Target::Skip},
                                                           {"subject", Target::Skip},
                                                           {"keywords", Target::Skip},
                                                           {"doccomm", Target::Skip},
                                                           {"info", Target::Skip}};
    if (word == "shpinst" || word == "shptxt" || word == "shppict") return true;
    if (word == "ud") {
      // The Unicode form of what stands before it.
      if (groups_.size() > 2 && groups_[groups_.size() - 3].target != Target::Skip)
        state().target = groups_[groups_.size() - 3].target;
      return true;
    }
    if (auto found = kTargets.find(word); found != kTargets.end()) {
      bool inside_skipped = state().target == Target::Skip && word != "title";
      if (!inside_skipped) state().target = found->second;
      return true;
    }
    if (state().target != Target::Text) return false;
    if (word == "listtext" || word == "pntext") {
      state().target = Target::Number;
      flow().item = true;
      return true;
    }
    return start_note(word);
  }

  bool start_note(const std::string& word) {
    constexpr std::array<std::string_view, 9> kNotes = {
        "footnote", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf"};
    if (std::find(kNotes.begin(), kNotes.end(), word) == kNotes.end()) return false;
    flows_.emplace_back();
    state().own_flow = true;
    return true;
  }

  bool set_character_state(const RtfControl& control) {
    const std::string& word = control.word;
    bool on = control.number.value_or(1) != 0;
    if (word == "ansicpg") {
      ansi_ = control.number.value_or(1252);
      for (State& group : groups_) group.code_page = ansi_;
    } else if (word == "mac" || word == "pc" || word == "pca") {
      ansi_ = word == "mac" ? 10'000 : word == "pc" ? 437 : 850;
      for (State& group : groups_) group.code_page = ansi_;
    } else if (word == "uc") {
      state().unicode_skip = std::clamp(control.number.value_or(1), 0, 16);
    } else if (word == "v" || word == "deleted") {
      state().hidden = on;
    } else if (word == "plain") {
      state().hidden = false;
      state().code_page = ansi_;
    } else if (word == "f") {
      set_font(control.number.value_or(0));
    } else if (word == "fcharset") {
      if (state().target == Target::Fonts)
        fonts_[font_] = code_page_of_charset(control.number.value_or(0), ansi_);
    } else {
      return false;
    }
    return true;
  }

  void set_font(int font) {
    if (state().target == Target::Fonts) {
      font_ = font;
      font_name_.clear();
      if (fonts_.size() < kCellsMax) fonts_[font_] = ansi_;
    } else {
      auto found = fonts_.find(font);
      state().code_page = found == fonts_.end() ? ansi_ : found->second;
    }
  }

  bool set_paragraph_state(const RtfControl& control) {
    const std::string& word = control.word;
    int number = control.number.value_or(0);
    if (state().target == Target::Styles) {
      if (word == "s") style_ = number;
      if (word == "outlinelevel") style_level_ = number + 1;
      return word == "s" || word == "outlinelevel";
    }
    if (word == "pard") {
      flow().in_table = flow().item = false;
      flow().level = 0;
    } else if (word == "s") {
      auto found = headings_.find(number);
      if (found != headings_.end()) flow().level = found->second;
    } else if (word == "outlinelevel") {
      flow().level = number < 9 ? number + 1 : 0;
    } else if (word == "ls") {
      flow().item = true;
    } else if (word == "intbl") {
      flow().in_table = true;
    } else if (word == "par" || word == "sect" || word == "page") {
      if (flow().in_table) {
        flow().text += ' ';
      } else {
        end_paragraph();
      }
    } else {
      return false;
    }
    return true;
  }

  bool read_table_word(const RtfControl& control) {
    const std::string& word = control.word;
    if (word == "trowd") {
      rules_.clear();
      rule_ = CellRule{};
      is_header_ = false;
    } else if (word == "trhdr") {
      is_header_ = true;
    } else if (word == "clvmrg") {
      rule_.continues_above = true;
    } else if (word == "clmrg") {
      rule_.continues_left = true;
    } else if (word == "cellx") {
      if (rules_.size() < kCellsMax) rules_.push_back(rule_);
      rule_ = CellRule{};
    } else if (word == "cell") {
      if (flow().cells.size() < kCellsMax) flow().cells.push_back(clean_text(flow().text, false));
      flow().text.clear();
    } else if (word == "nestcell" || word == "nestrow") {
      flow().text += word == "nestcell" ? " " : "; ";
    } else if (word == "row") {
      end_row();
    } else {
      return false;
    }
    return true;
  }

  void end_row() {
    std::vector<std::string> cells = std::move(flow().cells);
    flow().cells.clear();
    flow().text.clear();
    for (std::size_t i = 0; i < std::min(cells.size(), rules_.size()); ++i) {
      if (rules_[i].continues_above && i < above_.size()) cells[i] = above_[i];
      if (rules_[i].continues_left) cells[i].clear();
    }
    above_ = cells;
    if (is_header_) {
      header_ = std::move(cells);
      header_used_ = false;
    } else {
      builder_.add(BlockKind::TableRow, row_text(header_, cells));
      header_used_ = true;
    }
  }

  // Text behind a table ends it. A header that no row followed is text.
  void end_table() {
    if (!header_used_) builder_.add(BlockKind::TableRow, row_text({}, header_));
    header_.clear();
    above_.clear();
    header_used_ = true;
  }

  void end_table_rest() {
    if (!flow().cells.empty()) end_row();
    end_table();
  }

  void end_paragraph() {
    Flow& open = flow();
    if (flows_.size() > 1) {
      open.text += ' ';
      return;
    }
    if (!clean_text(open.text, false).empty()) {
      end_table();
      BlockKind kind = open.level > 0 ? BlockKind::Heading
                       : open.item    ? BlockKind::ListItem
                                      : BlockKind::Paragraph;
      builder_.add(kind, open.text, open.level);
    }
    open.text.clear();
  }

  void end_flow() {
    std::string note;
    for (const std::string& cell : flow().cells) note += cell + " ";
    note += flow().text;
    flows_.pop_back();
    bool known = std::find(notes_.begin(), notes_.end(), note) != notes_.end();
    if (notes_.size() < kNotesMax && !(notes_.size() < 100 && known)) notes_.push_back(std::move(note));
  }

  void end_style() {
    std::string name = clean_text(style_name_, false);
    if (name.ends_with(';')) name.pop_back();
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    if (name == "title") style_level_ = 1;
    if (name.starts_with("heading ") && name.size() == 9 && name[8] >= '1' && name[8] <= '9')
      style_level_ = name[8] - '0';
    if (style_ >= 0 && style_level_ > 0 && style_level_ <= 9 && headings_.size() < kCellsMax)
      headings_[style_] = style_level_;
    style_ = -1;
    style_level_ = 0;
    style_name_.clear();
  }

  void add_sign(const std::string& word) {
    static const std::map<std::string, const char*> kSigns = {
        {"tab", " "},     {"line", " "},      {"emdash", "—"},    {"endash", "–"},  {"lquote", "‘"},
        {"rquote", "’"},  {"ldblquote", "“"}, {"rdblquote", "”"}, {"bullet", "•"},  {"emspace", " "},
        {"enspace", " "}, {"qmspace", " "},   {"~", " "},         {"_", "-"},       {"\\", "\\"},
        {"{", "{"},       {"}", "}"},         {"column", " "},    {"softline", " "}};
    if (word == "\n" || word == "\r") return end_paragraph();
    if (auto found = kSigns.find(word); found != kSigns.end()) put(found->second);
  }

  void add_byte(char byte) {
    if (skip_left_ > 0) {
      --skip_left_;
      return;
    }
    if (state().target == Target::Skip) return;
    state().unnamed = false;
    bytes_ += byte;
  }

  // Signed 16 bits; characters beyond them come as a pair of surrogates.
  void add_unicode(int number) {
    flush_bytes();
    skip_left_ = state().unicode_skip;
    auto unit = static_cast<std::uint32_t>(number < 0 ? number + 65'536 : number);
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_ = unit;
      return;
    }
    if (high_ != 0 && unit >= 0xDC00 && unit < 0xE000)
      unit = 0x10000 + ((high_ - 0xD800) << 10) + (unit - 0xDC00);
    high_ = 0;
    // Fonts of signs keep them in a private area, at the place of their byte.
    if (unit >= 0xF020 && unit <= 0xF0FF && state().code_page < 0)
      return put(decode_code_page(std::string(1, static_cast<char>(unit - 0xF000)), state().code_page));
    std::string text;
    append_utf8(text, unit);
    put(text);
  }

  void flush_bytes() {
    if (bytes_.empty()) return;
    std::string bytes = std::move(bytes_);
    bytes_.clear();
    bool ascii =
        std::all_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    int page = state().code_page;
    put(page >= 0 && ascii ? bytes : decode_code_page(bytes, page));
  }

  void put(std::string_view text) {
    switch (state().target) {
      case Target::Skip: return;
      case Target::Title: return builder_.set_title(text);
      case Target::Styles: style_name_ += text; return;
      case Target::Fonts:
        font_name_ += text;
        if (font_name_.starts_with("Symbol;")) fonts_[font_] = kSymbolFont;
        if (font_name_.starts_with("Wingdings;")) fonts_[font_] = kWingdingsFont;
        return;
      case Target::Number:
        // A bullet or its stand-in in a font of signs says nothing; a clause's number does.
        if (text != " " && text.find_first_of("0123456789.)") == std::string_view::npos) return;
        [[fallthrough]];
      case Target::Text:
        if (!state().hidden) flow().text += text;
    }
  }

  RtfScanner scanner_;
  DocumentBuilder builder_;
  std::vector<State> groups_;
  std::vector<Flow> flows_;
  std::vector<std::string> notes_;
  std::string bytes_;  // of the state's code page, not yet decoded
  int skip_left_ = 0;  // characters that stand in for the last \u
  std::uint32_t high_ = 0;
  int ansi_ = 1252;
  std::map<int, int> fonts_;  // number → code page
  int font_ = 0;
  std::string font_name_;
  std::map<int, int> headings_;  // number of a style → level
  int style_ = -1, style_level_ = 0;
  std::string style_name_;
  std::vector<CellRule> rules_;
  CellRule rule_;
  std::vector<std::string> header_, above_;
  bool is_header_ = false, header_used_ = true;
};

}  // namespace

Result<Document> extract_rtf(std::string_view bytes, const Limits& limits) {
  return Reader(bytes, limits).read();
}

}  // namespace bulkhead::extract
