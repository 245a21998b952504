// Rich text, mail, delimited values and JSON: what must be there, and what must not; and refusals with their
// way out.
#include <gtest/gtest.h>

#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

std::string read(const std::string& name, const std::string& content) {
  return outline(extract_any(name, content, Limits{}));
}

TEST(Rtf, TextWithoutItsTables) {
  EXPECT_EQ(
      read(
          "a.rtf",
          "{\\rtf1\\ansi{\\fonttbl{\\f0 Times;}}{\\colortbl;\\red0;}{\\*\\generator x;}{\\info{\\title Lease}"
          "{\\author Ada}}\\f0\\fs24 The deposit is \\b 500\\b0  euros.\\par{\\pict 0102ff}\\pard Next\\line "
          "line.\\par}"),
      "paragraph: The deposit is 500 euros.\nparagraph: Next line.\n");
  EXPECT_EQ(extract_any("a.rtf", "{\\rtf1{\\info{\\title Lease}}x\\par}", Limits{})->title, "Lease");
  EXPECT_EQ(read("letter.doc", "{\\rtf1\\ansi The deposit is 500 euros.\\par}"),
            "paragraph: The deposit is 500 euros.\n");
}

TEST(Rtf, CharactersOfAllKinds) {
  EXPECT_EQ(
      read("a.rtf",
           "{\\rtf1\\ansi\\ansicpg1251{\\fonttbl{\\f0\\fcharset204 A;}{\\f1\\fcharset128 M;}{\\f2\\fcharset2 "
           "Symbol;}}\\f0 \\'c4\\'ee\\'e3\\'ee\\'e2\\'ee\\'f0 \\f1 \\'93\\'fa\\'96\\'7b\\f2 \\'b3\\f0  5 "
           "\\u8805?"
           " \\uc2\\u8364\\'80\\'80\\uc0\\u-10179\\u-8704 !\\emdash\\~\\{x\\}\\\\}"),
      "paragraph: Договор 日本≥ 5 ≥ €\U0001F600!— {x}\\\n");
}

TEST(Rtf, TablesHeadingsListsAndNotes) {
  EXPECT_EQ(
      read("a.rtf",
           "{\\rtf1{\\stylesheet{\\s1 heading 1;}}\\pard\\s1 Dose\\par\\pard{\\listtext\\'b7\\tab}item\\par"
           "\\pard{\\listtext 1.2\\tab}clause\\par\\pard\\trowd\\trhdr\\cellx1\\cellx2\\intbl Who\\cell "
           "Dose\\cell\\row"
           "\\trowd\\clvmgf\\cellx1\\cellx2\\intbl Ada\\cell 5{\\footnote A note.} mg\\par daily\\cell\\row"
           "\\trowd\\clvmrg\\cellx1\\cellx2\\intbl\\cell 6 mg\\cell\\row\\pard After.\\par}"),
      "heading 1: Dose\nlist_item: item\nlist_item: 1.2 clause\ntable_row: Who: Ada; Dose: 5 mg daily\n"
      "table_row: Who: Ada; Dose: 6 mg\nparagraph: After.\nparagraph: A note.\n");
  EXPECT_EQ(read("a.rtf",
                 "{\\rtf1\\trowd\\cellx1\\cellx2 Patient\\cell Ada\\cell\\row\\trowd\\cellx1\\cellx2 "
                 "Dose\\cell 200 mg\\cell\\row}"),
            "table_row: Patient; Ada\ntable_row: Dose; 200 mg\n");
}

TEST(Rtf, WhatNoReaderSeesIsLeftOut) {
  EXPECT_EQ(
      read(
          "a.rtf",
          "{\\rtf1 seen{\\v hidden} {\\deleted gone}{\\*\\annotation comment}{\\*\\unknown x}"
          "{\\field{\\*\\fldinst PAGE}{\\fldrslt result}}{\\object{\\*\\objdata 00}{\\result  shown}}\\par}"),
      "paragraph: seen result shown\n");
}

TEST(Mail, FieldsAndAnEncodedBody) {
  EXPECT_EQ(
      read("a.eml",
           "From: =?ISO-8859-1?Q?J=FCrgen?= <a@example.com>\r\nTo: b@example.com\r\nSubject: "
           "=?utf-8?B?UmVudCDigqw=?=\r\n =?utf-8?Q?_due?=\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
           "charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\nVGhlIHJlbnQgaXMgNTAwIGV1cm9zLgo=\r\n"),
      "heading 1: Rent € due\nparagraph: From: Jürgen <a@example.com>\nparagraph: To: b@example.com\n"
      "paragraph: The rent is 500 euros.\n");
  EXPECT_EQ(read("a.eml",
                 "Subject: x\nContent-Type: text/plain; charset=windows-1251\nContent-Transfer-Encoding: "
                 "quoted-printable\n\n=C4=EE=E3=EE=\n=E2=EE=F0 1\n"),
            "heading 1: x\nparagraph: Договор 1\n");
}

std::string multipart(const std::string& kind, const std::string& parts) {
  return "From: a@example.com\nSubject: S\nContent-Type: multipart/" + kind +
         "; boundary=\"b b\"\n\npreamble\n" + parts + "--b b--\nepilogue\n";
}

TEST(Mail, TheBestFormOfTheBodyAndEachAttachment) {
  EXPECT_EQ(read("a.eml",
                 multipart("alternative",
                           "--b b\nContent-Type: text/plain\n\nplain form\n--b b\nContent-Type: text/html\n\n"
                           "<p>rich <b>form</b></p>\n")),
            "heading 1: S\nparagraph: From: a@example.com\nparagraph: rich form\n");
  EXPECT_EQ(
      read("a.eml",
           multipart(
               "mixed",
               "--b b\n\nSee the file.\n--b b\nContent-Type: text/csv; name=d.csv\nContent-Disposition: "
               "attachment; filename*=utf-8''d%C3%B6se.csv\n\nname,mg\nIbu,200\n--b b\nContent-Type: "
               "image/png\nContent-Disposition: attachment; filename=scan.png\nContent-Transfer-Encoding: "
               "base64\n\niVBORw0KGgo=\n--b b\nContent-Type: message/rfc822\n\nSubject: Inner\n\nInner "
               "text.\n")),
      "heading 1: S\nparagraph: From: a@example.com\nparagraph: See the file.\nheading 2: Attachment: "
      "döse.csv\n"
      "table_row: name: Ibu; mg: 200\nparagraph: Attachment: scan.png (not read: Pictures are not read here. "
      "Save it "
      "as a PDF with text.)\nheading 2: Attachment: message.eml\nheading 3: Inner\nparagraph: Inner text.\n");
}

TEST(Mail, EncryptedMessagesAreToldApart) {
  EXPECT_EQ(error_code(extract_any("a.eml", multipart("encrypted", "--b b\n\nx\n"), Limits{})),
            "encrypted_file");
  EXPECT_EQ(error_code(extract_any("a.eml", multipart("mixed", "--b b\n\nx\n"), Limits{})), "none");
}

TEST(Delimited, FindsItsDelimiterAndKeepsQuotedCells) {
  EXPECT_EQ(read("a.csv", "name;price\r\n\"Ibu; \"\"forte\"\"\nred\";1,50\r\nPara;2,00\r\n"),
            "table_row: name: Ibu; \"forte\" red; price: 1,50\ntable_row: name: Para; price: 2,00\n");
  EXPECT_EQ(read("a.tsv", "name\tmg\nIbu, forte\t200\n"), "table_row: name: Ibu, forte; mg: 200\n");
  EXPECT_EQ(read("a.csv", "sep=|\nname|mg\nIbu|200\n"), "table_row: name: Ibu; mg: 200\n");
  EXPECT_EQ(read("a.csv", "size,mg\n5\" pipe,1\n6\" pipe,2\n"),
            "table_row: size: 5\" pipe; mg: 1\ntable_row: size: 6\" pipe; mg: 2\n");
}

TEST(Delimited, NamesColumnsOnlyWhenTheFirstRowLooksLikeNames) {
  EXPECT_EQ(read("a.csv", "Ada Novak,Ibuprofen\nBo Lind,Aspirin\n"),
            "table_row: Ada Novak; Ibuprofen\ntable_row: Bo Lind; Aspirin\n");
  EXPECT_EQ(read("a.csv", "Ada,200\nBo,300\n"), "table_row: Ada; 200\ntable_row: Bo; 300\n");
  EXPECT_EQ(read("a.csv", "patient_name,drug\nAda,Aspirin\n"),
            "table_row: patient_name: Ada; drug: Aspirin\n");
  EXPECT_EQ(read("a.csv", "only,labels\n"), "table_row: only; labels\n");
}

TEST(Json, ObjectsAreLinesBehindTheirPath) {
  EXPECT_EQ(
      read("a.json",
           "{\"name\":\"Ada "
           "\\u20AC\\ud83d\\ude00\",\"dose\":1.10,\"ok\":true,\"none\":null,\"tags\":[\"a\",2],"
           "\"address\":{\"city\":\"Leeds\",\"code\":\"LS1\"},\"drugs\":[{\"n\":\"Ibu\"},{\"n\":\"Para\"}]}"),
      "table_row: name: Ada €\U0001F600; dose: 1.10; ok: true; tags: a, 2\n"
      "table_row: address: city: Leeds; code: LS1\ntable_row: drugs: n: Ibu\ntable_row: drugs: n: Para\n");
  EXPECT_EQ(read("a.jsonl", "{\"a\":1}\n{\"a\":2}\n"), "table_row: a: 1\ntable_row: a: 2\n");
  for (const char* broken :
       {"{\"a\":1", "{a:1}", "{\"a\" 1}", "[1,]", "nothing", "\"open", "{\"a\":\"\\x\"}"})
    EXPECT_EQ(read("a.json", broken), "error invalid_file") << broken;
}

std::string refusal(const std::string& name, const std::string& content) {
  auto document = extract_any(name, content, Limits{});
  return document ? "read" : std::string(document.error().name().code) + ": " + document.error().message();
}

std::string compound(const std::string& stream) {
  std::string bytes = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + std::string(1'000, '\0');
  for (char c : stream) bytes += {c, '\0'};
  return bytes;
}

TEST(Refusals, NameTheCauseAndTheWayOut) {
  const std::string unsupported = "unsupported_file: ";
  EXPECT_EQ(refusal("a.zip", zip_of({{"a.txt", "x"}})),
            unsupported + "Archives are not read. Unpack it and add the files.");
  EXPECT_EQ(refusal("a.7z", "7z\xBC\xAF\x27\x1C more"),
            unsupported + "Archives are not read. Unpack it and add the files.");
  EXPECT_EQ(refusal("a.doc", compound("WordDocument")),
            unsupported + "Files of old Word versions are not read. Save it as DOCX or PDF.");
  EXPECT_EQ(refusal("a.xls", compound("Workbook")),
            unsupported + "Files of old Excel versions are not read. Save it as XLSX or PDF.");
  EXPECT_EQ(refusal("a.ppt", compound("PowerPoint Document")),
            unsupported + "Files of old PowerPoint versions are not read. Save it as PPTX or PDF.");
  EXPECT_EQ(refusal("a.msg", compound("__substg1.0_0037001F")),
            "invalid_file: The message is damaged. Save it as EML.");
  EXPECT_EQ(refusal("a.xlsx", compound("EncryptedPackage")),
            "encrypted_file: The document is protected by a password. Remove it first.");
  EXPECT_EQ(refusal("a.pages", zip_of({{"Index/Document.iwa", "x"}})),
            unsupported + "Files of Pages, Numbers and Keynote are not read. Export it as PDF.");
  EXPECT_EQ(refusal("a.png", std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16)),
            unsupported + "Pictures are not read here. Save it as a PDF with text.");
  EXPECT_EQ(refusal("a.bin", std::string("\0\1\2", 3)),
            unsupported + "The file is of no kind that is read. Save it as PDF or text.");
  EXPECT_EQ(refusal("a.xlsx", "plain"),
            "invalid_file: The file's content does not fit its name, or it is damaged. Open it in the "
            "program it is "
            "from and save it again.");
}

}  // namespace
}  // namespace bulkhead::extract
