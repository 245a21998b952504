#include "extract/pdf_device.h"

#include <GfxState.h>
#include <PDFDoc.h>
#include <TextOutputDev.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

namespace bulkhead::extract {

namespace {

constexpr double kDpi = 72;            // one unit is one point
constexpr double kSmallestPoints = 1;  // smaller text is no text to a reader
constexpr double kOpaque = 0.95;
constexpr double kScanShare = 0.5;                   // of the page
constexpr double kSameColour = 0.04;                 // of 1, in each of red, green and blue
constexpr double kSmallestBox = 2;                   // points; thinner boxes are lines
constexpr int kInvisibleMode = 3;                    // ISO 32000-1, table 106
constexpr std::size_t kBoxesMax = 20'000;            // a page
constexpr std::size_t kImagesMax = 500;              // a page, on which recognised text may stand
constexpr std::size_t kComparisonsMax = 20'000'000;  // a page: glyphs with boxes

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;

  bool holds(double x, double y) const { return x >= left && x <= right && y >= top && y <= bottom; }
};

// What was painted somewhere: a colour, or something whose colour isn't known (an image, a shading).
struct Ground {
  Box box;
  std::optional<GfxRGB> colour;
};

struct Glyph {
  double x = 0, y = 0;  // its middle
  bool invisible = false, covered = false;
};

bool same_colour(const GfxRGB& a, const GfxRGB& b) {
  auto near = [](GfxColorComp one, GfxColorComp other) {
    return std::abs(colToDbl(one) - colToDbl(other)) < kSameColour;
  };
  return near(a.r, b.r) && near(a.g, b.g) && near(a.b, b.b);
}

Box bounds_of(const GfxState& state, const GfxPath& path) {
  Box box{HUGE_VAL, HUGE_VAL, -HUGE_VAL, -HUGE_VAL};
  for (int i = 0; i < path.getNumSubpaths(); ++i) {
    const GfxSubpath* part = path.getSubpath(i);
    for (int j = 0; j < part->getNumPoints(); ++j) {
      double x = 0, y = 0;
      state.transform(part->getX(j), part->getY(j), &x, &y);
      box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x), std::max(box.bottom, y)};
    }
  }
  return box;
}

Box clipped(const GfxState& state, Box box) {
  Box clip;
  state.getClipBBox(&clip.left, &clip.top, &clip.right, &clip.bottom);
  return {std::max(box.left, clip.left), std::max(box.top, clip.top), std::min(box.right, clip.right),
          std::min(box.bottom, clip.bottom)};
}

// One rectangle with upright sides: only of it is known that it covers all of its bounds.
bool is_rectangle(const GfxState& state, const GfxPath& path) {
  if (path.getNumSubpaths() != 1) return false;
  const GfxSubpath* part = path.getSubpath(0);
  if (part->getNumPoints() < 4 || part->getNumPoints() > 5) return false;
  for (int i = 0; i + 1 < part->getNumPoints(); ++i) {
    double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
    if (part->getCurve(i)) return false;
    state.transform(part->getX(i), part->getY(i), &x0, &y0);
    state.transform(part->getX(i + 1), part->getY(i + 1), &x1, &y1);
    if (std::abs(x0 - x1) > 0.1 && std::abs(y0 - y1) > 0.1) return false;
  }
  return true;
}

// Takes a page's text and leaves out what can't be seen where it is drawn. What is covered later, and
// whether invisible text is the recognised text of a scanned image, is known only when the page is
// whole: `hidden()` gives those glyphs for a second run.
class VisibleText final : public TextOutputDev {
 public:
  explicit VisibleText(std::vector<bool> hidden)
      : TextOutputDev(nullptr, false, 0, false, false), hidden_(std::move(hidden)) {}

  std::vector<bool> hidden() const {
    bool anything_seen = std::any_of(glyphs_.begin(), glyphs_.end(),
                                     [](const Glyph& g) { return !g.invisible && !g.covered; });
    std::vector<bool> result(glyphs_.size(), false);
    for (std::size_t i = 0; i < glyphs_.size(); ++i) {
      const Glyph& glyph = glyphs_[i];
      bool recognised = !anything_seen || std::any_of(images_.begin(), images_.end(), [&](const Box& box) {
        return box.holds(glyph.x, glyph.y);
      });
      result[i] = glyph.covered || (glyph.invisible && !recognised);
    }
    return result;
  }

  void describe(double page_area, PdfPageText& out) const {
    for (const Glyph& glyph : glyphs_) {
      if (glyph.covered) continue;
      ++(glyph.invisible ? out.from_layer : out.seen);
    }
    out.pictures = images_.size();
    out.shapes = grounds_.size() - std::min(grounds_.size(), images_.size());
    for (const Box& box : images_) {
      const double area = std::max(0.0, box.right - box.left) * std::max(0.0, box.bottom - box.top);
      if (page_area > 0 && std::isfinite(area))
        out.picture_share = std::max(out.picture_share, area / page_area);
    }
  }

  bool needNonText() override { return true; }

  void drawChar(GfxState* state, double x, double y, double dx, double dy, double origin_x, double origin_y,
                CharCode code, int bytes, const Unicode* u, int length) override {
    std::size_t index = glyphs_seen_++;
    Glyph glyph = glyph_at(*state, x - origin_x, y - origin_y, dx, dy);
    bool hidden = index < hidden_.size() && hidden_[index];
    bool unseen = !hidden && is_unseen(*state, glyph);
    if (index == glyphs_.size()) {
      glyphs_.push_back(glyph);
      glyphs_.back().covered = unseen;
    }
    if (hidden || unseen) return;
    TextOutputDev::drawChar(state, x, y, dx, dy, origin_x, origin_y, code, bytes, u, length);
  }

  void fill(GfxState* state) override { paint(*state); }
  void eoFill(GfxState* state) override { paint(*state); }
  void stroke(GfxState*) override {}

  bool useTilingPatternFill() override { return true; }
  bool tilingPatternFill(GfxState* state, Gfx*, Catalog*, GfxTilingPattern*, const double*, int, int, int,
                         int, double, double) override {
    return shade(*state);
  }
  bool useShadedFills(int) override { return true; }
  bool functionShadedFill(GfxState* state, GfxFunctionShading*) override { return shade(*state); }
  bool axialShadedFill(GfxState* state, GfxAxialShading*, double, double) override { return shade(*state); }
  bool radialShadedFill(GfxState* state, GfxRadialShading*, double, double) override { return shade(*state); }
  bool gouraudTriangleShadedFill(GfxState* state, GfxGouraudTriangleShading*) override {
    return shade(*state);
  }
  bool patchMeshShadedFill(GfxState* state, GfxPatchMeshShading*) override { return shade(*state); }

  void drawImageMask(GfxState* state, Object* ref, Stream* stream, int width, int height, bool invert,
                     bool interpolate, bool inlined) override {
    image(*state);
    TextOutputDev::drawImageMask(state, ref, stream, width, height, invert, interpolate, inlined);
  }
  void drawImage(GfxState* state, Object* ref, Stream* stream, int width, int height,
                 GfxImageColorMap* colours, bool interpolate, const int* mask, bool inlined) override {
    image(*state, mask == nullptr);
    TextOutputDev::drawImage(state, ref, stream, width, height, colours, interpolate, mask, inlined);
  }
  void drawMaskedImage(GfxState* state, Object*, Stream*, int, int, GfxImageColorMap*, bool, Stream*, int,
                       int, bool, bool) override {
    image(*state);
  }
  void drawSoftMaskedImage(GfxState* state, Object*, Stream*, int, int, GfxImageColorMap*, bool, Stream*, int,
                           int, GfxImageColorMap*, bool) override {
    image(*state);
  }

 private:
  static Glyph glyph_at(const GfxState& state, double x, double y, double dx, double dy) {
    Glyph glyph;
    double right = 0, down = 0;
    state.transform(x + dx / 2, y + dy / 2, &glyph.x, &glyph.y);
    state.transformDelta(dx, dy, &right, &down);
    double length = std::hypot(right, down);
    // A third of the font's size above the line on which it stands.
    double up = length > 0 ? state.getTransformedFontSize() / 3 / length : 0;
    glyph.x += down * up;
    glyph.y -= right * up;
    glyph.invisible = state.getRender() == kInvisibleMode;
    return glyph;
  }

  bool is_unseen(GfxState& state, const Glyph& glyph) {
    if (glyph.invisible) return false;
    bool own_shapes = state.getFont() && state.getFont()->getType() == fontType3;
    if (!own_shapes && state.getTransformedFontSize() < kSmallestPoints) return true;
    Box clip;
    state.getClipBBox(&clip.left, &clip.top, &clip.right, &clip.bottom);
    if (!clip.holds(glyph.x, glyph.y)) return true;
    bool filled = state.getRender() % 4 == 0;
    if (!filled || own_shapes || state.getFillColorSpace()->getMode() == csPattern) return false;
    if (state.getFillOpacity() <= kSameColour) return true;
    GfxRGB colour;
    state.getFillRGB(&colour);
    std::optional<GfxRGB> ground = ground_at(glyph);
    return ground && same_colour(*ground, colour);
  }

  // Paper is white. Nothing where the ground isn't known.
  std::optional<GfxRGB> ground_at(const Glyph& glyph) {
    for (auto at = grounds_.rbegin(); at != grounds_.rend(); ++at) {
      if (++comparisons_ > kComparisonsMax) return std::nullopt;
      if (at->box.holds(glyph.x, glyph.y)) return at->colour;
    }
    if (grounds_.size() >= kBoxesMax) return std::nullopt;
    constexpr GfxColorComp kFull = gfxColorComp1;
    return GfxRGB{kFull, kFull, kFull};
  }

  void remember(const Box& box, std::optional<GfxRGB> colour) {
    if (grounds_.size() < kBoxesMax) grounds_.push_back({box, colour});
  }

  void paint(GfxState& state) {
    const GfxPath* path = state.getPath();
    Box box = clipped(state, bounds_of(state, *path));
    bool thin = box.right - box.left < kSmallestBox || box.bottom - box.top < kSmallestBox;
    if (thin || state.getFillOpacity() <= kSameColour) return;
    bool solid = is_rectangle(state, *path) && state.getFillOpacity() >= kOpaque &&
                 state.getBlendMode() == gfxBlendNormal && state.getFillColorSpace()->getMode() != csPattern;
    if (!solid) {
      remember(box, std::nullopt);
      return;
    }
    GfxRGB colour;
    state.getFillRGB(&colour);
    remember(box, colour);
    if (comparisons_ + glyphs_.size() > kComparisonsMax) return;
    comparisons_ += glyphs_.size();
    for (Glyph& glyph : glyphs_) glyph.covered = glyph.covered || box.holds(glyph.x, glyph.y);
  }

  bool shade(const GfxState& state) {
    remember(clipped(state, {-HUGE_VAL, -HUGE_VAL, HUGE_VAL, HUGE_VAL}), std::nullopt);
    return true;
  }

  // An image is painted on the unit square.
  void image(const GfxState& state, bool whole = false) {
    Box box{HUGE_VAL, HUGE_VAL, -HUGE_VAL, -HUGE_VAL};
    for (int corner = 0; corner < 4; ++corner) {
      double x = 0, y = 0;
      state.transform(corner & 1, corner >> 1, &x, &y);
      box = {std::min(box.left, x), std::min(box.top, y), std::max(box.right, x), std::max(box.bottom, y)};
    }
    if (images_.size() < kImagesMax) images_.push_back(box);
    Box seen = clipped(state, box);
    remember(seen, std::nullopt);
    if (whole) cover(state, seen);
  }

  // A picture without holes hides what was painted before. One as large as the page is a scan over its
  // recognised text, which is the page's text. A turned picture's corners are not known to cover.
  void cover(const GfxState& state, const Box& box) {
    const double* m = state.getCTM();
    bool upright =
        (std::abs(m[1]) < 0.01 && std::abs(m[2]) < 0.01) || (std::abs(m[0]) < 0.01 && std::abs(m[3]) < 0.01);
    double area = (box.right - box.left) * (box.bottom - box.top);
    bool scan = area > kScanShare * state.getPageWidth() * state.getPageHeight();
    bool opaque = state.getFillOpacity() >= kOpaque && state.getBlendMode() == gfxBlendNormal;
    if (!upright || !opaque || scan || comparisons_ + glyphs_.size() > kComparisonsMax) return;
    comparisons_ += glyphs_.size();
    for (Glyph& glyph : glyphs_) {
      if (!glyph.invisible) glyph.covered = glyph.covered || box.holds(glyph.x, glyph.y);
    }
  }

  std::vector<bool> hidden_;
  std::vector<Glyph> glyphs_;
  std::vector<Ground> grounds_;
  std::vector<Box> images_;
  std::size_t glyphs_seen_ = 0, comparisons_ = 0;
};

// Upright: x along the line as it is read, y from line to line.
PdfWord upright(const TextWord& word) {
  double left = 0, top = 0, right = 0, bottom = 0;
  word.getBBox(&left, &top, &right, &bottom);
  PdfWord out;
  for (int i = 0; i < word.getLength(); ++i) append_utf8(out.text, *word.getChar(i));
  out.size = word.getFontSize();
  if (const GooString* font = word.getFontName(0)) out.font = font->toStr();
  out.rotation = word.getRotation();
  switch (out.rotation) {
    case 1: out.left = top, out.right = bottom, out.top = -right, out.height = right - left; break;
    case 2: out.left = -right, out.right = -left, out.top = -bottom, out.height = bottom - top; break;
    case 3: out.left = -bottom, out.right = -top, out.top = left, out.height = right - left; break;
    default: out.left = left, out.right = right, out.top = top, out.height = bottom - top; break;
  }
  out.base = out.rotation == 1 || out.rotation == 2 ? -word.getBaseline() : word.getBaseline();
  return out;
}

}  // namespace

PdfPageText visible_text(PDFDoc& document, int number) {
  auto draw = [&](std::vector<bool> hidden) {
    auto device = std::make_unique<VisibleText>(std::move(hidden));
    document.displayPage(device.get(), number, kDpi, kDpi, 0, false, true, false);
    return device;
  };
  std::unique_ptr<VisibleText> device = draw({});
  std::vector<bool> hidden = device->hidden();
  PdfPageText text;
  device->describe(document.getPageMediaWidth(number) * document.getPageMediaHeight(number), text);
  text.hidden = static_cast<std::size_t>(std::count(hidden.begin(), hidden.end(), true));
  if (text.hidden > 0) device = draw(std::move(hidden));
  std::unique_ptr<TextWordList> list = device->makeWordList();
  for (int i = 0; list && i < list->getLength(); ++i) text.words.push_back(upright(*list->get(i)));
  return text;
}

}  // namespace bulkhead::extract
