// The forms in which mail carries text over seven bits: header fields (RFC 5322, 2047, 2231), transfer
// encodings (RFC 2045), and the cut of a multipart (RFC 2046). Pure functions of their input.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::extract {

// A part's header fields by their names in small letters, unfolded, and what stands behind them.
struct MimeEntity {
  std::map<std::string, std::string> fields;
  std::string_view body;
};

// The bytes outlive the answer. Of fields of one name the first counts.
MimeEntity parse_entity(std::string_view bytes);

// "text/html; charset=utf-8": the value in small letters, and the parameters decoded to UTF-8.
struct MimeValue {
  std::string value;
  std::map<std::string, std::string> parameters;
};
MimeValue parse_mime_value(std::string_view field);

// Encoded words ("=?utf-8?B?...?=") as their text; the rest as UTF-8.
std::string decode_words(std::string_view field);

// By Content-Transfer-Encoding; an unknown one leaves the bytes as they are.
std::string decode_transfer(std::string_view body, std::string_view encoding);

// The parts between the boundary's lines, `parts_max` at most.
std::vector<std::string_view> split_multipart(std::string_view body, const std::string& boundary,
                                              std::size_t parts_max);

std::string lower_ascii(std::string_view text);

}  // namespace bulkhead::extract
