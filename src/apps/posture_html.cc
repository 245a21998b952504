#include "apps/posture_page.h"

namespace bulkhead::apps {

using base::json::Value;

namespace {

constexpr std::string_view kHead = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bulkhead posture</title>
<style>
:root { --ink:#1c2733; --soft:#5b6b7a; --line:#dce3ea; --paper:#fff; --ground:#f3f6f9;
  --stands:#1b7f4b; --shared:#8a6100; --idle:#5b6b7a; --stated:#2c5f9e; --broken:#b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6edf3; --soft:#9fb0c0; --line:#2c3945; --paper:#18222c;
  --ground:#0f161d; --stands:#5fcf95; --shared:#e2b65a; --idle:#9fb0c0; --stated:#86b6f2; --broken:#ff8a80; } }
* { box-sizing:border-box }
body { margin:0; background:var(--ground); color:var(--ink); font:15px/1.5 system-ui,sans-serif }
main { max-width:1080px; margin:0 auto; padding:32px 20px 64px }
h1 { font-size:26px; margin:0 } h2 { font-size:19px; margin:0; overflow-wrap:anywhere }
.when { color:var(--soft); margin:2px 0 20px }
.sum { border-radius:10px; padding:12px 18px; margin:0 0 22px; color:#fff; font-weight:600; background:#1b7f4b }
.sum.bad { background:#b3261e }
.sum ul { margin:6px 0 0; padding-left:20px; font-weight:400 }
.scroll { background:var(--paper); border:1px solid var(--line); border-radius:10px; margin:0 0 26px; overflow-x:auto }
table.over { width:100%; border-collapse:collapse }
.over tr:last-child td { border-bottom:0 } .over th.m { text-align:center }
.over th,.over td { padding:7px 10px; text-align:left; border-bottom:1px solid var(--line); white-space:nowrap }
.over th { font-size:12px; color:var(--soft); font-weight:600 }
.over td.m { text-align:center }
section { background:var(--paper); border:1px solid var(--line); border-radius:10px; margin:0 0 20px }
header { padding:14px 18px; border-bottom:1px solid var(--line) }
header p { margin:3px 0 0; color:var(--soft); overflow-wrap:anywhere }
.tag { font-size:12px; border:1px solid var(--line); border-radius:20px; padding:1px 9px; margin-left:8px;
  color:var(--soft); font-weight:500; vertical-align:2px }
.wall { display:grid; grid-template-columns:90px 88px 1fr; gap:2px 14px; padding:9px 18px;
  border-bottom:1px solid var(--line) }
.wall:last-of-type { border-bottom:0 }
.layer { font-weight:600 } .check { color:var(--soft); font-size:14px; overflow-wrap:anywhere }
.remedy { color:var(--broken); font-weight:600; font-size:14px; overflow-wrap:anywhere }
.v { font-weight:600 } .stands{color:var(--stands)} .shared{color:var(--shared)} .idle{color:var(--idle)}
.stated{color:var(--stated)} .broken{color:var(--broken)}
.cost { display:flex; flex-wrap:wrap; gap:6px 26px; padding:10px 18px; border-top:1px solid var(--line);
  color:var(--soft); font-size:14px } .cost b { color:var(--ink) }
.key { color:var(--soft); font-size:14px } .key span { margin-right:16px; display:inline-block }
@media (max-width:640px) { .wall { grid-template-columns:1fr 1fr } .wall > div:last-child { grid-column:1/3 } }
@media print { body { background:#fff } section { break-inside:avoid } }
</style></head><body><main>
)html";

constexpr std::string_view kKey =
    R"html(<p class="key"><span><b class="stands">&#10003; stands</b> tried just now</span>
<span><b class="shared">&#9681; shared</b> as the mode and policy have it</span>
<span><b class="stated">&#9675; stated</b> by configuration, can't be tried from inside</span>
<span><b class="idle">&#8211; idle</b> nothing is there to be walled</span>
<span><b class="broken">&#10007; broken</b></span></p>
)html";

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}
std::string text_of(const Value& value) { return escaped(value.as_string().value_or("")); }
std::uint64_t number(const Value& value) { return static_cast<std::uint64_t>(value.as_int().value_or(0)); }

// A class name is one of ours or none: nothing from the report gets into an attribute as it is.
std::string_view verdict_class(const Value& verdict) {
  const std::string text(verdict.as_string().value_or(""));
  for (std::string_view known : {"stands", "shared", "idle", "stated"}) {
    if (text == known) return known;
  }
  return "broken";
}
std::string_view mark(std::string_view verdict) {
  if (verdict == "stands") return "&#10003;";
  if (verdict == "shared") return "&#9681;";
  if (verdict == "stated") return "&#9675;";
  if (verdict == "idle") return "&#8211;";
  return "&#10007;";
}

std::string walls_html(const Value& walls) {
  std::string out;
  for (std::size_t i = 0; i < walls.size(); ++i) {
    const Value wall = walls.at(i);
    const std::string verdict(verdict_class(wall["verdict"]));
    out += "<div class=\"wall\"><div class=\"layer\">" + text_of(wall["layer"]) + "</div><div class=\"v " +
           verdict + "\">" + std::string(mark(verdict)) + " " + verdict + "</div><div>" +
           text_of(wall["wall"]) + "<div class=\"check\">" + text_of(wall["check"]) + "</div>";
    if (verdict == "broken") out += "<div class=\"remedy\">&rarr; " + text_of(wall["remedy"]) + "</div>";
    out += "</div></div>\n";
  }
  return out;
}

std::string cost_html(const Value& cost) {
  return "<div class=\"cost\"><span><b>" + std::to_string(number(cost["processes"])) +
         (number(cost["processes"]) == 1 ? "</b> process" : "</b> processes") + "</span><span><b>" +
         human_bytes(number(cost["resident_bytes"])) + "</b> resident</span><span><b>" +
         human_bytes(number(cost["storage_bytes"])) + "</b> stored</span><span><b>" +
         human_bytes(number(cost["index_bytes"])) + "</b> of index</span></div>\n";
}

// The worst verdict of a layer is what its cell shows.
std::string_view worst(const Value& walls, std::string_view layer) {
  std::string_view found;
  auto rank = [](std::string_view verdict) {
    constexpr std::string_view kOrder[] = {"", "idle", "stands", "stated", "shared", "broken"};
    std::size_t at = 0;
    while (at + 1 < std::size(kOrder) && kOrder[at] != verdict) ++at;
    return at;
  };
  for (std::size_t i = 0; i < walls.size(); ++i) {
    if (walls.at(i)["layer"].as_string().value_or("") != layer) continue;
    const std::string_view one = verdict_class(walls.at(i)["verdict"]);
    if (rank(one) > rank(found)) found = one;
  }
  return found;
}

std::string overview(const Value& tenants) {
  constexpr std::string_view kLayers[] = {"identity", "engine", "prefixes", "batching",  "store",
                                          "records",  "keys",   "vectors",  "retention", "limits"};
  std::string out = "<div class=\"scroll\"><table class=\"over\"><tr><th>tenant</th><th>mode</th>";
  for (std::string_view layer : kLayers) out += "<th class=\"m\">" + std::string(layer) + "</th>";
  out += "</tr>\n";
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    const Value tenant = tenants.at(i);
    out += "<tr><td><b>" + text_of(tenant["id"]) + "</b></td><td>" + text_of(tenant["mode"]) + "</td>";
    for (std::string_view layer : kLayers) {
      const std::string verdict(worst(tenant["walls"], layer));
      out += verdict.empty() ? std::string("<td class=\"m\"></td>")
                             : "<td class=\"m v " + verdict + "\" title=\"" + verdict + "\">" +
                                   std::string(mark(verdict)) + "</td>";
    }
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string broken_list(const Value& walls, const std::string& whose) {
  std::string out;
  for (std::size_t i = 0; i < walls.size(); ++i) {
    const Value wall = walls.at(i);
    if (verdict_class(wall["verdict"]) != "broken") continue;
    out += "<li>" + whose + ", " + text_of(wall["layer"]) + ": " + text_of(wall["check"]) + "</li>";
  }
  return out;
}

}  // namespace

std::string posture_html(const Value& report) {
  const Value tenants = report["tenants"];
  std::string out(kHead);
  out += "<h1>Posture</h1><p class=\"when\">Checked at " + text_of(report["checked_at"]) + "</p>\n";
  const std::uint64_t broken = number(report["broken"]);
  if (broken == 0) {
    out += "<div class=\"sum\">&#10003; No wall is broken</div>\n";
  } else {
    out += "<div class=\"sum bad\">&#10007; " + std::to_string(broken) +
           (broken == 1 ? " wall does" : " walls do") + " not stand<ul>";
    out += broken_list(report["platform"]["walls"], "platform");
    for (std::size_t i = 0; i < tenants.size(); ++i)
      out += broken_list(tenants.at(i)["walls"], text_of(tenants.at(i)["id"]));
    out += "</ul></div>\n";
  }
  out += overview(tenants) + std::string(kKey);
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    const Value tenant = tenants.at(i);
    out += "<section><header><h2>" + text_of(tenant["id"]) + "<span class=\"tag\">" +
           text_of(tenant["mode"]) + "</span><span class=\"tag\">" + text_of(tenant["state"]) +
           "</span></h2><p>" + text_of(tenant["display_name"]) + " &middot; " + text_of(tenant["store"]) +
           "</p></header>\n";
    out += walls_html(tenant["walls"]) + cost_html(tenant["cost"]) + "</section>\n";
  }
  out += "<section><header><h2>Platform</h2><p>What all tenants share</p></header>\n";
  out += walls_html(report["platform"]["walls"]) + cost_html(report["platform"]["cost"]) + "</section>\n";
  return out + "</main></body></html>\n";
}

}  // namespace bulkhead::apps
