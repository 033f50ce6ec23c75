/** Relative luminance (WCAG 2.2, "relative luminance"). */
function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

/** White or ink, whichever can be read better on the colour: at least 4.58:1 on any. */
const inkOn = (colour: string): string => ((1.05) / (luminance(colour) + 0.05) >= (luminance(colour) + 0.05) / 0.05 ? '#fff' : '#000')

const LIGHT = '--bg:#fff;--log:#f6f7f9;--ink:#1b1f27;--soft:#596170;--line:#e3e6eb;--edge:#838b99;--bubble:#fff;--hover:#eef0f4;--bad:#b3261e;--shadow:0 12px 40px #10182833,0 2px 8px #1018281f'
const DARK = '--bg:#1a1d24;--log:#14161b;--ink:#eceef2;--soft:#a3abba;--line:#2c313b;--edge:#7d8696;--bubble:#242832;--hover:#2b303b;--bad:#ff9d94;--shadow:0 12px 40px #000a,0 2px 8px #0008'

const RULES = `
:host([data-theme=dark]){color-scheme:dark;${DARK}}
*,*::before{box-sizing:border-box;margin:0}
[hidden]{display:none!important}
button,textarea,input{font:inherit;color:inherit;letter-spacing:inherit}
button{background:none;border:0;padding:0;cursor:pointer}
svg{width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round;flex:none;display:block}
:focus-visible{outline:2px solid var(--ink);outline-offset:2px}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.launcher{position:fixed;bottom:20px;right:20px;width:60px;height:60px;border-radius:50%;display:grid;place-items:center;background:var(--accent);color:var(--on);box-shadow:var(--shadow);transition:transform .18s}
.launcher:hover{transform:translateY(-2px) scale(1.03)}
.launcher:focus-visible{outline-offset:3px;box-shadow:0 0 0 3px var(--bg),var(--shadow)}
.launcher svg{width:28px;height:28px}
.badge{position:absolute;top:-2px;right:-2px;min-width:22px;height:22px;border-radius:11px;padding:0 6px;background:#b3261e;color:#fff;font-size:12px;font-weight:700;line-height:22px;text-align:center;box-shadow:0 0 0 2px var(--bg)}
.panel{position:fixed;bottom:96px;right:20px;width:384px;height:min(640px,100dvh - 116px);display:flex;flex-direction:column;background:var(--bg);border-radius:20px;box-shadow:var(--shadow);overflow:hidden;animation:rise .22s cubic-bezier(.2,.8,.3,1)}
:host([data-side=left]) .launcher,:host([data-side=left]) .panel{right:auto;left:20px}
@keyframes rise{from{opacity:0;transform:translateY(12px) scale(.98)}}
header{display:flex;align-items:center;gap:12px;padding:14px 12px 14px 16px;background:var(--accent);color:var(--on)}
header>div{flex:1;min-width:0}
.mark{width:38px;height:38px;border-radius:50%;display:grid;place-items:center;flex:none;font-size:17px;font-weight:700;border:2px solid;text-transform:uppercase}
h2{font-size:17px;font-weight:650;line-height:1.3;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.round{width:40px;height:40px;border-radius:12px;display:grid;place-items:center;flex:none}
header .round:hover{background:#8883}
header :focus-visible{outline-color:var(--on)}
.notice{padding:10px 20px;font-size:13px;line-height:1.4;background:var(--hover);color:var(--ink);border-bottom:1px solid var(--line)}
.log{flex:1;overflow-y:auto;overscroll-behavior:contain;padding:20px 16px 12px;background:var(--log);display:flex;flex-direction:column;gap:4px}
.log:focus-visible{outline-offset:-3px}
.log::before{content:"";margin-top:auto}
.earlier{align-self:center;padding:6px 14px;border-radius:16px;font-size:13px;color:var(--soft);border:1px solid var(--line);background:var(--bg);margin-bottom:8px}
.entry{display:flex;flex-direction:column;align-items:flex-start;max-width:86%;animation:appear .2s}
@keyframes appear{from{opacity:0;transform:translateY(6px)}}
.entry.own{align-self:flex-end;align-items:flex-end}
.entry.tail{margin-bottom:10px}
.bubble{padding:10px 14px;border-radius:18px 18px 18px 6px;background:var(--bubble);border:1px solid var(--line);overflow-wrap:anywhere;max-width:100%;display:flex;flex-direction:column;gap:8px}
.own .bubble{background:var(--accent);border-color:var(--accent);color:var(--on);border-radius:18px 18px 6px 18px}
.sending .bubble{opacity:.75}
.failed .bubble{background:var(--bubble);color:var(--ink);border-color:var(--bad)}
.failed .meta{color:var(--bad)}
.plain{white-space:pre-wrap}
.meta{font-size:12px;color:var(--soft);padding:4px 6px 0}
.bubble a:not(.choice){color:inherit;text-decoration:underline;text-underline-offset:2px}
ul,ol{padding-left:20px}
li+li{margin-top:4px}
code{font:.92em ui-monospace,monospace;background:#8882;padding:.1em .3em;border-radius:4px}
.heading{font-size:13px;font-weight:650;color:var(--soft)}
.choices{display:flex;flex-direction:column;gap:6px}
.choice{display:block;padding:9px 14px;border-radius:12px;border:1px solid var(--edge);background:var(--bg);color:var(--ink);text-align:center;font-weight:550;text-decoration:none}
.choice:hover:not(:disabled){background:var(--hover)}
.choice:disabled{cursor:default;color:var(--soft);border-color:var(--line)}
small{display:block;font-size:13px;font-weight:400;opacity:.85}
.cards{display:flex;flex-direction:column;gap:10px}
.card{display:flex;flex-direction:column;gap:6px;min-width:220px}
img,video,audio{max-width:100%;border-radius:12px;display:block}
.picture img{max-height:260px;object-fit:cover;background:#8882;min-height:48px;min-width:48px}
.bubble:has(>.picture){padding:6px}
.file{display:flex;align-items:center;gap:10px}
.typing .bubble{flex-direction:row;gap:5px;padding:15px 16px}
.typing i{width:7px;height:7px;border-radius:50%;background:var(--soft);animation:hop 1.2s infinite}
.typing i:nth-of-type(2){animation-delay:.15s}
.typing i:nth-of-type(3){animation-delay:.3s}
@keyframes hop{0%,60%,100%{transform:none;opacity:.5}30%{transform:translateY(-4px);opacity:1}}
.composer{display:flex;align-items:flex-end;gap:4px;padding:10px 12px;border-top:1px solid var(--line);background:var(--bg)}
.composer textarea{flex:1;min-width:0;max-height:128px;resize:none;border:1px solid var(--edge);border-radius:20px;padding:8px 14px;line-height:22px;background:var(--bg);field-sizing:content}
textarea::placeholder{color:var(--soft);opacity:1}
textarea:focus-visible,.field input:focus-visible{outline-offset:-2px}
.composer .round{color:var(--soft)}
.composer .round:hover{background:var(--hover);color:var(--ink)}
.composer .go{background:var(--accent);color:var(--on);border-radius:50%;margin-left:4px}
.composer .go:hover{background:var(--accent);color:var(--on);filter:brightness(1.08)}
.composer .go:disabled{background:var(--hover);color:var(--soft);cursor:default;filter:none}
.questions{flex:1;overflow-y:auto;display:flex;flex-direction:column;gap:16px;padding:24px 20px;background:var(--bg)}
.intro{line-height:1.5}
.field{display:flex;flex-direction:column;gap:6px}
label{font-size:14px;font-weight:550}
.field input{border:1px solid var(--edge);border-radius:12px;padding:10px 14px;background:var(--bg)}
.field input[aria-invalid=true]{border-color:var(--bad)}
.fault{font-size:13px;color:var(--bad)}
.primary{background:var(--accent);color:var(--on);border-radius:12px;padding:12px;font-weight:650}
@media (max-width:480px){.panel,:host([data-side=left]) .panel{inset:0;width:auto;height:100dvh;border-radius:0}.open .launcher{display:none}.composer textarea,.field input{font-size:16px}.composer{padding-bottom:max(10px,env(safe-area-inset-bottom))}}
@media (prefers-reduced-motion:reduce){*,*::before{animation:none!important;transition:none!important}}
@media (forced-colors:active){.bubble,.launcher,.panel{border:1px solid}}
`

/** A constructed sheet: a Content-Security-Policy without `unsafe-inline` has nothing against it. */
export function styleSheet(accent: string): CSSStyleSheet {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(`
:host{all:initial;color-scheme:light;${LIGHT};--accent:${accent};--on:${inkOn(accent)};position:fixed;z-index:2147483000;font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink)}
@media (prefers-color-scheme:dark){:host(:not([data-theme=light])){color-scheme:dark;${DARK}}}${RULES}`)
  return sheet
}
