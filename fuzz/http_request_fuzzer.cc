// Requests on one connection: however the bytes arrive in pieces, the same messages and the same
// refusal come out; an accepted message keeps what http/message.h promises, and survives being
// written out and read again.
#include <optional>

#include "check.h"
#include "http/detail/syntax.h"
#include "http/request_parser.h"

namespace {

using namespace bulkhead::http;
using bulkhead::fuzz::require;

constexpr ParserLimits kLimits{.request_line_bytes_max = 256,
                               .header_bytes_max = 1024,
                               .header_count_max = 12,
                               .body_bytes_max = 2048,
                               .chunk_count_max = 16};

struct Connection {
  std::string messages;  // all that was accepted, in a form that can be compared
  int refused_with = 0;
  std::string refusal;
  std::vector<Request> requests;
};

std::string shown(const Request& request, bool keep_alive) {
  std::string out(method_name(request.method));
  for (const std::string* part : {&request.target, &request.path}) out += '\n' + *part;
  for (const auto& [name, value] : request.query) out += "\n?" + name + '=' + value;
  for (const auto& [name, value] : request.headers.all()) {
    out += '\n';
    out.append(name).append(": ").append(value);
  }
  return out + (keep_alive ? "\nkeep\n" : "\nclose\n") + request.body + '\n';
}

Connection talk(const std::vector<std::string_view>& pieces) {
  Connection seen;
  RequestParser parser(kLimits);
  for (std::string_view piece : pieces) {
    for (;;) {
      std::size_t consumed = 0;
      RequestParser::State state = parser.feed(piece, consumed);
      require(consumed <= piece.size(), "no more is consumed than was given");
      piece.remove_prefix(consumed);
      if (state == RequestParser::State::Failed) {
        int status = parser.error_status();
        require(status == 400 || status == 413 || status == 431 || status == 501 || status == 505,
                "a refusal has one of its statuses");
        bulkhead::fuzz::require_told(parser.error());
        seen.refused_with = status;
        seen.refusal = parser.error().message();
        return seen;
      }
      if (state == RequestParser::State::NeedMore) {
        require(piece.empty(), "what needs more has consumed all");
        break;
      }
      if (state == RequestParser::State::HeadersDone) continue;
      bool keep_alive = parser.keep_alive();
      seen.requests.push_back(parser.take());
      seen.messages += shown(seen.requests.back(), keep_alive);
      require(!parser.started(), "a taken message leaves nothing behind");
    }
  }
  return seen;
}

void check_promises(const Request& request) {
  require(request.path.starts_with('/'), "a path begins with a slash");
  require(request.path.find("//") == std::string::npos, "a path has no empty segment");
  require((request.path + "/").find("/../") == std::string::npos &&
              (request.path + "/").find("/./") == std::string::npos,
          "a path has no dot segment");
  for (char c : request.path) require(static_cast<unsigned char>(c) >= 0x20, "a path has no control byte");
  require(request.headers.all().size() <= kLimits.header_count_max, "headers stay in their bound");
  require(request.body.size() <= kLimits.body_bytes_max, "a body stays in its bound");
  auto host = request.headers.single("host");
  require(host && detail::is_host(*host), "there is one valid host");
  require(request.headers.count("content-length") + request.headers.count("transfer-encoding") <= 1,
          "a message is framed in one way");
  for (const auto& [name, value] : request.headers.all()) {
    require(detail::is_token(name) && detail::is_field_value(value), "a header can't break out of its line");
    for (char c : name) require(detail::lower(c) == c, "names are lower case");
  }
}

std::string written(const Request& request) {
  std::string out(method_name(request.method));
  out += ' ' + request.target + " HTTP/1.1\r\n";
  for (const auto& [name, value] : request.headers.all()) {
    if (name == "content-length" || name == "transfer-encoding") continue;
    out.append(name).append(": ").append(value).append("\r\n");
  }
  return out + "content-length: " + std::to_string(request.body.size()) + "\r\n\r\n" + request.body;
}

void check_written(const Request& request) {
  RequestParser parser({});
  std::string text = written(request);
  std::string_view left = text;
  RequestParser::State state = RequestParser::State::NeedMore;
  do {
    std::size_t consumed = 0;
    state = parser.feed(left, consumed);
    left.remove_prefix(consumed);
  } while (state == RequestParser::State::HeadersDone);
  require(state == RequestParser::State::Done && left.empty(), "an accepted message is accepted again");
  Request again = parser.take();
  require(again.path == request.path && again.query == request.query && again.body == request.body,
          "an accepted message reads the same again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = bulkhead::fuzz::text_of(data, size);
  std::optional<Connection> whole;
  for (const auto& pieces : bulkhead::fuzz::ways_to_cut(text)) {
    Connection seen = talk(pieces);
    if (!whole) {
      whole = std::move(seen);
      continue;
    }
    require(seen.messages == whole->messages, "messages don't depend on how their bytes arrive");
    require(seen.refused_with == whole->refused_with && seen.refusal == whole->refusal,
            "a refusal doesn't depend on how the bytes arrive");
  }
  for (const Request& request : whole->requests) {
    check_promises(request);
    check_written(request);
  }
  return 0;
}
