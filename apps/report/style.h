// The page's style sheet.
#pragma once

namespace kintsugi::apps {

inline constexpr const char* kStyle = R"css(
:root { color-scheme: light dark;
  --page:#fbfaf7; --panel:#ffffff; --ink:#23211d; --quiet:#6b665c; --rule:#dcd7cc;
  --gold:#b8860b; --zoo:#2b6ca3; --good:#1f7a4d; --bad:#a33a2b; }
@media (prefers-color-scheme: dark) { :root {
  --page:#191817; --panel:#232120; --ink:#ece8e0; --quiet:#a39d91; --rule:#413d38;
  --gold:#e0b040; --zoo:#7db7e8; --good:#6cc79a; --bad:#e88a7a; } }
* { box-sizing: border-box; }
body { margin:0; background:var(--page); color:var(--ink);
  font:16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 24px 72px; }
header { border-bottom: 3px solid var(--gold); padding-bottom: 18px; margin-bottom: 26px; }
h1 { font-size: 30px; line-height:1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 44px 0 10px; }
p { margin: 10px 0; max-width: 72ch; }
.sub, .note { color: var(--quiet); }
.note { font-size: 14px; }
.lead p { font-size: 17px; }
.verdict { border-left: 4px solid var(--gold); padding: 2px 0 2px 16px; font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 24px 0; }
.figure { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px 16px; }
.figure b { display: block; font-size: 25px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figure span { color: var(--quiet); font-size: 13.5px; }
.panel { background: var(--panel); border: 1px solid var(--rule); border-radius: 10px;
  padding: 18px; margin: 14px 0; overflow-x: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(360px, 1fr)); gap: 8px 18px; }
svg { display: block; width: 100%; height: auto; margin: 0 auto;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
svg text { fill: var(--ink); }
svg text.quiet { fill: var(--quiet); }
svg text.small { font-size: 11px; }
svg text.onset { fill: #15130f; font-size: 11.5px; }
svg text.strong { font-weight: 650; font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--rule); }
th { color: var(--quiet); font-weight: 500; font-size: 13.5px; }
th:first-child, td:first-child, td.words, th.words { text-align: left; }
tr:last-child td { border-bottom: 0; }
tr.ours td { font-weight: 600; }
tr.wins td:first-child::before { content: "★ "; color: var(--gold); }
footer { margin-top: 56px; color: var(--quiet); font-size: 13.5px; }
@media print { .panel, .figure { break-inside: avoid; } }
)css";

}  // namespace kintsugi::apps
