import { Chat } from './chat.ts'
import { createMemory } from './memory.ts'
import { createPanel } from './panel.ts'
import { styleSheet } from './style.ts'
import { pickLanguage, wordsOf } from './words.ts'

/** `<script src="https://host/widget.js" data-number="…" async></script>`: the whole of the embedding. */
async function mount(script: HTMLScriptElement): Promise<void> {
  const { number = '', lang, theme, open } = script.dataset
  if (!/^[\w-]{1,64}$/.test(number)) return console.error('widget.js: the script tag needs data-number')
  if (document.getElementById(`trunkline-${number}`)) return
  const wishes = [lang, document.documentElement.lang, ...navigator.languages]
  const language = pickLanguage(wishes)
  // A British visitor of an English page reads times as in Britain.
  const locale = wishes.find((wish) => wish?.toLowerCase().startsWith(`${language}-`)) ?? language
  const host = document.createElement('div')
  host.id = `trunkline-${number}`
  host.lang = language
  if (theme) host.dataset.theme = theme
  const root = host.attachShadow({ mode: 'open' })
  let panel: ReturnType<typeof createPanel> | undefined
  const chat = new Chat(`${new URL(script.src).origin}/v1/webchat/${number}`, createMemory(`trunkline:${number}`), {
    onChange: () => panel?.update(),
    onTyping: () => panel?.typing(),
    onFault: (fault) => panel?.fault(fault),
  })
  // Without a configuration there is nothing to show: a page that may not open this chat stays as it was.
  try {
    await chat.look()
  } catch (error) {
    return console.warn('widget.js: the chat is not available', error)
  }
  root.adoptedStyleSheets = [styleSheet(chat.config!.accent_colour)]
  if (chat.config!.launcher_position === 'bottom_left') host.dataset.side = 'left'
  panel = createPanel(root, chat, wordsOf(language), locale)
  panel.update()
  document.body.append(host)
  if (open !== undefined) panel.open()
}

const script = document.currentScript
if (script instanceof HTMLScriptElement) {
  const begin = () => void mount(script)
  if (document.body) begin()
  else addEventListener('DOMContentLoaded', begin)
}
