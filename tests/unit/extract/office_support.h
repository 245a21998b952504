// Workbooks, presentations, OpenDocument files and books, made in memory.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "support.h"

namespace bulkhead::extract {

using Parts = std::vector<std::pair<std::string, std::string>>;

inline std::string content_types(const std::string& main, const std::string& type) {
  return "<Types><Default Extension='xml' ContentType='application/xml'/><Override PartName='/" + main +
         "' ContentType='application/vnd.openxmlformats-officedocument." + type + ".main+xml'/></Types>";
}

inline std::string root_relationship(const std::string& main) {
  return "<Relationships><Relationship Id='r' Type='x/officeDocument' Target='/" + main +
         "'/></Relationships>";
}

struct Workbook {
  struct Sheet {
    std::string name, content, state = "visible";
  };
  std::string styles = "<styleSheet/>", strings = "<sst/>";
  std::vector<Sheet> sheets;
  Parts more;

  std::string bytes() const {
    std::string list, relationships =
                          "<Relationship Id='st' Type='x/styles' Target='styles.xml'/>"
                          "<Relationship Id='ss' Type='x/sharedStrings' Target='strings.xml'/>";
    Parts parts = more;
    for (std::size_t i = 0; i < sheets.size(); ++i) {
      std::string n = std::to_string(i), content = sheets[i].content;
      list += "<sheet name='" + sheets[i].name + "' sheetId='" + n + "' state='" + sheets[i].state +
              "' r:id='s" + n + "'/>";
      relationships +=
          "<Relationship Id='s" + n + "' Type='x/worksheet' Target='worksheets/s" + n + ".xml'/>";
      if (content.find("<sheetData") == std::string::npos) content = "<sheetData>" + content + "</sheetData>";
      parts.emplace_back("xl/worksheets/s" + n + ".xml", "<worksheet>" + content + "</worksheet>");
    }
    parts.insert(parts.end(),
                 {{"[Content_Types].xml", content_types("xl/book.xml", "spreadsheetml.sheet")},
                  {"_rels/.rels", root_relationship("xl/book.xml")},
                  {"xl/book.xml", "<workbook xmlns:r='r'><sheets>" + list + "</sheets></workbook>"},
                  {"xl/_rels/book.xml.rels", "<Relationships>" + relationships + "</Relationships>"},
                  {"xl/styles.xml", styles},
                  {"xl/strings.xml", strings}});
    return zip_of(parts);
  }
};

// The notes belong to the first slide; `hidden` hides that.
struct Presentation {
  std::vector<std::string> slides;
  std::string notes;
  bool hidden = false;

  std::string bytes() const {
    std::string list, relationships;
    Parts parts;
    auto tree = [](const std::string& shapes) {
      return "<p:cSld><p:spTree>" + shapes + "</p:spTree></p:cSld>";
    };
    // Named against their order, which only the list gives.
    for (std::size_t i = 0; i < slides.size(); ++i) {
      std::string n = std::to_string(slides.size() - i);
      list += "<p:sldId id='" + std::to_string(256 + i) + "' r:id='s" + n + "'/>";
      relationships += "<Relationship Id='s" + n + "' Type='x/slide' Target='slides/s" + n + ".xml'/>";
      parts.emplace_back("ppt/slides/s" + n + ".xml", std::string("<p:sld xmlns:p='p' xmlns:a='a'") +
                                                          (i == 0 && hidden ? " show='0'>" : ">") +
                                                          tree(slides[i]) + "</p:sld>");
    }
    std::string first = std::to_string(slides.size());
    parts.insert(
        parts.end(),
        {{"[Content_Types].xml", content_types("ppt/show.xml", "presentationml.presentation")},
         {"_rels/.rels", root_relationship("ppt/show.xml")},
         {"ppt/show.xml",
          "<p:presentation xmlns:p='p' xmlns:r='r'><p:sldIdLst>" + list + "</p:sldIdLst></p:presentation>"},
         {"ppt/_rels/show.xml.rels", "<Relationships>" + relationships + "</Relationships>"},
         {"ppt/slides/_rels/s" + first + ".xml.rels",
          "<Relationships><Relationship Id='n' Type='x/notesSlide' Target='../notes.xml'/></Relationships>"},
         {"ppt/notes.xml", "<p:notes xmlns:p='p' xmlns:a='a'>" + tree(notes) + "</p:notes>"}});
    return zip_of(parts);
  }
};

inline std::string odf_of(const std::string& kind, const std::string& body, const std::string& styles = "") {
  return zip_of({{"mimetype", "application/vnd.oasis.opendocument." + kind},
                 {"content.xml",
                  "<office:document-content xmlns:office='o' xmlns:text='t' xmlns:table='b' xmlns:draw='d' "
                  "xmlns:style='s' xmlns:presentation='p'><office:automatic-styles>" +
                      styles + "</office:automatic-styles><office:body>" + body +
                      "</office:body></office:document-content>"}});
}

inline std::string epub_of(Parts more) {
  more.insert(more.begin(),
              {{"mimetype", "application/epub+zip"},
               {"META-INF/container.xml",
                "<container><rootfiles><rootfile full-path='OPS/book.opf'/></rootfiles></container>"},
               {"OPS/book.opf",
                "<package xmlns:dc='d'><metadata><dc:title>Book</dc:title></metadata><manifest>"
                "<item id='b' href='c2.xhtml' media-type='application/xhtml+xml'/>"
                "<item id='a' href='c1.xhtml' media-type='application/xhtml+xml'/></manifest>"
                "<spine><itemref idref='a'/><itemref idref='b'/></spine></package>"},
               {"OPS/c1.xhtml",
                "<html xmlns='h'><head><title/></head><body><h1>First</h1><p>One&nbsp; "
                "two.</p></body></html>"},
               {"OPS/c2.xhtml", "<html><body><p>Second chapter.</p></body></html>"}});
  return zip_of(more);
}

}  // namespace bulkhead::extract
