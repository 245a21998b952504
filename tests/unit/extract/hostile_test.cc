// Documents made to hurt: each ends in a clean error or in harmless text, within bounded time.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "support.h"

namespace bulkhead::extract {
namespace {

base::Result<Document> read(const std::string& name, const std::string& content) {
  return extract_any(name, content, Limits{});
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  out.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Hostile, ZipBombsAreRefusedBeforeTheyUnpack) {
  std::string packed = docx_of("<w:p><w:r><w:t>" + std::string(60u << 20, 'x') + "</w:t></w:r></w:p>");
  EXPECT_LT(packed.size(), 1u << 20);
  EXPECT_EQ(error_code(read("a.docx", packed)), "too_large");
  // Control: the same document of ordinary density is read.
  EXPECT_EQ(
      error_code(read("a.docx", docx_of("<w:p><w:r><w:t>" + std::string(1'000, 'x') + "</w:t></w:r></w:p>"))),
      "none");
}

TEST(Hostile, AZipThatLiesAboutASizeIsRefused) {
  std::string honest = docx_of("<w:p><w:r><w:t>" + std::string(5'000, 'x') + "</w:t></w:r></w:p>");
  ASSERT_EQ(error_code(read("a.docx", honest)), "none");
  std::size_t central = honest.rfind("PK\x01\x02");
  ASSERT_NE(central, std::string::npos);
  std::string lying = honest;
  lying[central + 24] = '\x10';  // unpacked size, little endian
  lying[central + 25] = '\0';
  EXPECT_EQ(error_code(read("a.docx", lying)), "invalid_file");
}

TEST(Hostile, ManyPartsAreRefused) {
  std::vector<std::pair<std::string, std::string>> parts;
  for (int i = 0; i < 5'001; ++i) parts.emplace_back("p" + std::to_string(i), "x");
  EXPECT_EQ(error_code(read("a.docx", docx_of("<w:p/>", parts))), "invalid_file");
}

TEST(Hostile, XmlEntitiesAreNotExpanded) {
  std::string bomb =
      "<!DOCTYPE d [<!ENTITY a \"boom\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY f SYSTEM "
      "\"file:///etc/passwd\">]>"
      "<w:document xmlns:w='w'><w:body><w:p><w:r><w:t>x&b;&f;y</w:t></w:r></w:p></w:body></w:document>";
  auto document = read("a.docx", zip_of({{"word/document.xml", bomb}}));
  ASSERT_TRUE(document) << document.error().describe();
  EXPECT_EQ(all_text(*document), "x&b;&f;y\n");
}

TEST(Hostile, DeepXmlIsCutOff) {
  std::string body = "<w:p><w:r><w:t>top</w:t></w:r></w:p>" + repeated("<w:sdt><w:sdtContent>", 5'000) +
                     "<w:p><w:r><w:t>deep</w:t></w:r></w:p>" + repeated("</w:sdtContent></w:sdt>", 5'000);
  // Some noise, or the repetition itself would count as a bomb.
  for (unsigned i = 0, x = 1; i < 4'000; ++i)
    body += "<!--" + std::to_string(x = x * 1'664'525 + 1'013'904'223) + "-->";
  EXPECT_EQ(outline(read("a.docx", docx_of(body))), "paragraph: top\n");
}

TEST(Hostile, DamagedContainersAreErrors) {
  std::string whole = docx_of("<w:p><w:r><w:t>text</w:t></w:r></w:p>");
  EXPECT_EQ(error_code(read("a.docx", whole.substr(0, whole.size() / 2))), "invalid_file");
  EXPECT_EQ(error_code(read("a.docx", docx_of("<w:p><unclosed>"))), "invalid_file");
  EXPECT_EQ(error_code(read("a.docx", zip_of({{"word/document.xml", "<other/>"}}))), "invalid_file");
  EXPECT_EQ(error_code(read("a.docx", "PK\x03\x04")), "invalid_file");
}

TEST(Hostile, PasswordsAreToldApart) {
  std::string part = "<w:document xmlns:w='w'><w:body/></w:document>";
  EXPECT_EQ(error_code(read("a.docx", zip_of({{"word/document.xml", part}}, "password"))), "encrypted_file");
  std::string compound = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1" + std::string(1'000, '\0');
  EXPECT_EQ(error_code(read("a.doc", compound)), "unsupported_file");
  for (char c : std::string("EncryptedPackage")) compound += {c, '\0'};
  EXPECT_EQ(error_code(read("a.docx", compound)), "encrypted_file");
}

// A PDF with the standard security handler (ISO 32000-1, 7.6.3) and a user password that isn't empty.
TEST(Hostile, EncryptedPdf) {
  std::vector<std::string> objects = {
      "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
      "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
      "<</Filter/Standard/V 1/R 2/P -4/O<" + repeated("A5", 32) + ">/U<" + repeated("5A", 32) + ">>>"};
  auto pdf = [&objects](const std::string& encrypt) {
    std::string out = "%PDF-1.4\n", table = "xref\n0 5\n0000000000 65535 f \n";
    for (std::size_t i = 0; i < objects.size(); ++i) {
      std::string offset = std::to_string(out.size());
      table += std::string(10 - offset.size(), '0') + offset + " 00000 n \n";
      out += std::to_string(i + 1) + " 0 obj\n" + objects[i] + "\nendobj\n";
    }
    std::string at = std::to_string(out.size());
    return out + table + "trailer<</Size 5/Root 1 0 R" + encrypt + "/ID[<00><00>]>>\nstartxref\n" + at +
           "\n%%EOF\n";
  };
  prepare_pdf();
  EXPECT_EQ(error_code(read("a.pdf", pdf("/Encrypt 4 0 R"))), "encrypted_file");
  EXPECT_EQ(error_code(read("a.pdf", pdf(""))), "invalid_file")
      << "control: without the password it is merely empty";
}

TEST(Hostile, DeepPagesAreReadWithoutRecursionOrRefused) {
  auto document = read("a.html", "<html><body>" + repeated("<div>", 1'900) + "core");
  ASSERT_TRUE(document);
  EXPECT_EQ(all_text(*document), "core\n");
  for (const char* deep : {"<div>", "<div></x>", "<div></p>", "<x->", "<li><ol>", "<svg><td>"}) {
    EXPECT_EQ(error_code(read("a.html", "<html><body>" + repeated(deep, 200'000) + "core")), "invalid_file")
        << deep;
  }
}

TEST(Hostile, LongFlatPagesAreNoDeepOnes) {
  EXPECT_EQ(error_code(read("a.html", repeated("<p>one<br><li>two<div>three</div>", 20'000))), "none");
}

TEST(Hostile, DeepMarkdownIsBounded) {
  // Read as the page that it makes: what nests there beyond measure is refused, what only looks like it is
  // text.
  for (const std::string& text : {repeated("> ", 50'000) + "x", repeated("- ", 20'000) + "x"}) {
    EXPECT_EQ(error_code(read("a.md", text)), "invalid_file") << text.substr(0, 10);
  }
  const std::string brackets = repeated("[", 50'000), stars = repeated("*a ", 50'000);
  for (const auto& [text, expected] :
       {std::pair{brackets, brackets}, {stars, stars.substr(0, stars.size() - 1)}}) {
    auto document = read("a.md", text);
    ASSERT_TRUE(document) << document.error().describe();
    EXPECT_TRUE(all_text(*document) == expected + "\n") << text.substr(0, 10);
  }
}

TEST(Hostile, MoreTextThanTheLimitIsRefused) {
  Limits limits;
  limits.text_bytes_max = 10'000;
  std::string paragraphs = repeated("Some text that fills a page.\n\n", 1'000);
  for (const char* name : {"a.txt", "a.md", "a.html"}) {
    EXPECT_EQ(error_code(extract_any(name, paragraphs, limits)), "too_large") << name;
    EXPECT_EQ(error_code(extract_any(name, paragraphs, Limits{})), "none") << name;
  }
  limits = Limits{};
  limits.blocks_max = 10;
  EXPECT_EQ(error_code(extract_any("a.txt", paragraphs, limits)), "too_large");
}

TEST(Hostile, CutDocumentsAreErrorsOrText) {
  prepare_pdf();
  constexpr std::size_t kParts = 20;
  // With the number of cuts that must still be read; a container that is cut may be mended or not.
  for (const auto& [ending, readable] : {std::pair<const char*, std::size_t>{".pdf", 0},
                                         {".docx", 0},
                                         {".html", 1},
                                         {".md", kParts - 1},
                                         {".txt", kParts - 1}}) {
    auto file = corpus_files(ending).front();
    std::string whole = slurp(file);
    std::size_t read_well = 0;
    for (std::size_t part = 1; part < kParts; ++part) {
      auto document = read(file.filename().string(), whole.substr(0, whole.size() * part / kParts));
      if (!document) {
        EXPECT_EQ(error_code(document), "invalid_file") << file << " " << part;
        continue;
      }
      ++read_well;
      EXPECT_FALSE(document->blocks.empty()) << file << " " << part;
      for (const Block& block : document->blocks) EXPECT_EQ(clean_text(block.text, true), block.text) << file;
    }
    EXPECT_GE(read_well, readable) << file;
  }
}

}  // namespace
}  // namespace bulkhead::extract
