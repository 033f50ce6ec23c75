import type { Chat, Fault } from './chat.ts'
import { el, icon, ICONS } from './element.ts'
import { preChatForm } from './form.ts'
import { createLog } from './log.ts'
import { markdown } from './markdown.ts'
import type { Words } from './words.ts'

const TYPING_EVERY_MS = 4_000
const NOTICE_MS = 6_000
const TEXT_MAX = 4_000

/** The launcher and the dialog. `update` shows what the chat is now. */
export function createPanel(root: ShadowRoot, chat: Chat, words: Words, locale: string) {
  const log = createLog(chat, words, locale)
  const badge = el('span', { class: 'badge', 'aria-hidden': 'true', hidden: true })
  const launcher = el('button', { class: 'launcher', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false', on: { click: () => (isOpen() ? close() : open()) } }, icon(ICONS.chat), badge)
  const title = el('h2', { id: 'title' })
  const mark = el('span', { class: 'mark', 'aria-hidden': 'true' })
  const notice = el('p', { class: 'notice', role: 'status', hidden: true })
  const input = el('textarea', { id: 'text', rows: 1, maxlength: TEXT_MAX, placeholder: words.message, on: { keydown: onKey, input: onInput } })
  const go = el('button', { class: 'round go', type: 'submit', 'aria-label': words.send, disabled: true }, icon(ICONS.send))
  const picker = el('input', { type: 'file', hidden: true, tabindex: -1, 'aria-hidden': 'true', accept: 'image/*,.pdf,.docx,.xlsx,.mp4,.mp3', on: { change: onFile } })
  const clip = el('button', { class: 'round', type: 'button', 'aria-label': words.attach, on: { click: () => picker.click() } }, icon(ICONS.clip))
  const composer = el('form', { class: 'composer', on: { submit: onSubmit } }, picker, clip, el('label', { class: 'hidden', for: 'text', text: words.message }), input, go)
  const closer = el('button', { class: 'round', type: 'button', 'aria-label': words.close, on: { click: close } }, icon(ICONS.down))
  const panel = el('section', { class: 'panel', role: 'dialog', 'aria-modal': 'true', 'aria-labelledby': 'title', hidden: true, on: { keydown: onPanelKey } }, el('header', {}, mark, el('div', {}, title), closer), notice, log.box, composer)
  const frame = el('div', {}, panel, launcher)
  root.append(frame)
  let [typedAt, noticeTimer] = [0, 0]
  let form: HTMLFormElement | null = null

  const isOpen = (): boolean => !panel.hidden

  function open(): void {
    panel.hidden = false
    frame.className = 'open'
    launcher.setAttribute('aria-expanded', 'true')
    launcher.replaceChildren(icon(ICONS.close), badge)
    chat.start()
    update()
    log.toEnd()
    focusFirst()
  }

  function close(): void {
    panel.hidden = true
    frame.className = ''
    launcher.setAttribute('aria-expanded', 'false')
    launcher.replaceChildren(icon(ICONS.chat), badge)
    update()
    launcher.focus()
  }

  const focusFirst = (): void => (form?.querySelector('input') ?? input).focus()

  /** Tab stays within the dialog; Escape leaves it. */
  function onPanelKey(event: Event): void {
    const { key, shiftKey } = event as KeyboardEvent
    if (key === 'Escape') {
      event.stopPropagation()
      return close()
    }
    if (key !== 'Tab') return
    const stops = [...panel.querySelectorAll<HTMLElement>('button,a[href],input,textarea,audio,video,[tabindex="0"]')].filter((stop) => !stop.matches(':disabled,[tabindex="-1"]') && stop.getClientRects().length > 0)
    const [first, last, now] = [stops[0], stops.at(-1), root.activeElement]
    if (now === (shiftKey ? first : last)) {
      event.preventDefault()
      ;(shiftKey ? last : first)?.focus()
    }
  }

  function onKey(event: Event): void {
    const { key, shiftKey, isComposing } = event as KeyboardEvent
    // Enter also ends the composition of a Japanese or Chinese word; that is not "send".
    if (key !== 'Enter' || shiftKey || isComposing) return
    event.preventDefault()
    composer.requestSubmit()
  }

  function onInput(): void {
    go.disabled = input.value.trim() === ''
    if (go.disabled || Date.now() - typedAt < TYPING_EVERY_MS) return
    typedAt = Date.now()
    chat.typing()
  }

  function onSubmit(event: Event): void {
    event.preventDefault()
    const text = input.value.trim()
    if (!text) return
    input.value = ''
    onInput()
    chat.say({ text })
    log.toEnd()
    input.focus()
  }

  function onFile(): void {
    const file = picker.files?.[0]
    picker.value = ''
    if (file) void chat.attach(file)
  }

  function say(text: string): void {
    if (notice.textContent !== text) notice.textContent = text
    notice.hidden = text === ''
  }

  function updateQuestions(): void {
    const asking = chat.questions.length > 0
    log.box.hidden = composer.hidden = asking
    if (asking && !form) {
      form = preChatForm(chat.questions, words, (answers) => {
        chat.answer(answers)
        input.focus()
      })
      if (chat.config?.greeting) form.prepend(el('div', { class: 'intro' }, markdown(chat.config.greeting)))
      composer.before(form)
      if (isOpen()) focusFirst()
    } else if (!asking && form) {
      form.remove()
      form = null
    }
  }

  const stateWords = (): string => ({ idle: '', ready: '', connecting: words.connecting, offline: words.offline, closed: words.unavailable })[chat.state]

  function update(): void {
    title.textContent = chat.config?.title ?? ''
    mark.textContent = [...title.textContent.trim()][0] ?? ''
    if (!noticeTimer) say(stateWords())
    updateQuestions()
    log.update()
    if (isOpen() && !document.hidden) chat.markRead()
    const { unread } = chat
    badge.hidden = isOpen() || unread === 0
    badge.textContent = unread > 99 ? '99+' : String(unread)
    launcher.setAttribute('aria-label', isOpen() ? words.close : unread > 0 ? `${words.open} (${unread} ${words.unread})` : words.open)
  }

  document.addEventListener('visibilitychange', update)
  return {
    open,
    update,
    typing: () => log.typing(),
    fault(fault: Fault): void {
      say(words[fault])
      clearTimeout(noticeTimer)
      noticeTimer = setTimeout(() => {
        noticeTimer = 0
        update()
      }, NOTICE_MS)
    },
  }
}
