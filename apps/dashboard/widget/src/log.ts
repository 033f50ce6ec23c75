import type { Chat } from './chat.ts'
import { render } from './content.ts'
import { el } from './element.ts'
import type { Words } from './words.ts'

type Entry = { key: string; own: boolean; author: string; at: string; content: Record<string, unknown> & { kind: string }; status: keyof Words | null }

/** What changes while a message is shown: its line below, and whether one may still choose. */
type Shown = { node: HTMLElement; meta: HTMLElement; choices: HTMLButtonElement[] }

const APART_MS = 5 * 60_000

/** The list of messages. Elements are kept while their message is shown, so that a screen reader hears each one once. */
export function createLog(chat: Chat, words: Words, locale: string) {
  const box = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-relevant': 'additions', 'aria-label': words.log, tabindex: 0 })
  const earlier = el('button', { class: 'earlier', type: 'button', text: words.earlier, hidden: true, on: { click: () => void showEarlier() } })
  const greeting = el('div', { class: 'entry tail', hidden: true })
  const typing = el('div', { class: 'entry typing', hidden: true }, el('div', { class: 'bubble' }, el('span', { class: 'hidden', text: `${words.agent} ${words.typing}` }), el('i'), el('i'), el('i')))
  const shown = new Map<string, Shown>()
  const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' })
  const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })
  let typingTimer = 0
  box.append(earlier, greeting, typing)

  const nearEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 80
  const toEnd = () => (box.scrollTop = box.scrollHeight)

  async function showEarlier(): Promise<void> {
    const height = box.scrollHeight
    await chat.earlier().catch(() => undefined)
    box.scrollTop += box.scrollHeight - height
  }

  function entries(): Entry[] {
    const told = chat.messages.map((message): Entry => ({ key: message.client_message_id ?? message.id, own: message.author === 'visitor', author: message.author, at: message.at, content: message.content, status: message.author === 'visitor' ? 'sent' : null }))
    const waiting = chat.queue.map((item): Entry => ({
      key: item.client_message_id, own: true, author: 'visitor', at: item.at, status: item.failed ? 'failed' : item.acked ? 'sent' : 'sending',
      content: (item.preview ?? (item.choice ? { kind: 'choice', ...item.choice } : { kind: 'text', text: item.text })) as Entry['content'],
    }))
    return [...told, ...waiting]
  }

  const timeOf = (at: string): string => {
    const date = new Date(at)
    return (date.toDateString() === new Date().toDateString() ? clock : day).format(date)
  }

  /** A neighbour of the same author within minutes shares the line below. */
  const isTail = (entry: Entry, next: Entry | undefined): boolean => !next || next.own !== entry.own || next.status !== entry.status || Date.parse(next.at) - Date.parse(entry.at) > APART_MS

  function make(entry: Entry): Shown {
    const who = entry.own ? words.you : words.agent
    const pick = (choice: { id: string; title: string }) => chat.say({ choice })
    const onLoad = () => nearEnd() && toEnd()
    const bubble = el('div', { class: 'bubble' }, el('span', { class: 'hidden', text: `${who}: ` }), ...render(entry.content, { words, own: entry.own, pick, onLoad }))
    const meta = el('div', { class: 'meta' })
    return { node: el('div', {}, bubble, meta), meta, choices: [...bubble.querySelectorAll<HTMLButtonElement>('button.choice')] }
  }

  function show({ node, meta, choices }: Shown, entry: Entry, tail: boolean, answered: boolean): void {
    node.className = `entry ${entry.own ? 'own ' : ''}${entry.status ?? ''}${tail ? ' tail' : ''}`
    meta.hidden = !tail
    meta.textContent = timeOf(entry.at) + (entry.status ? ` · ${words[entry.status]}` : '')
    for (const choice of choices) choice.disabled = answered
  }

  return {
    box,
    toEnd,
    typing(): void {
      const follow = nearEnd()
      typing.hidden = false
      if (follow) toEnd()
      clearTimeout(typingTimer)
      typingTimer = setTimeout(() => (typing.hidden = true), 20_000)
    },
    update(): void {
      const follow = nearEnd()
      const all = entries()
      earlier.hidden = !chat.hasMore
      if (chat.config?.greeting && greeting.hidden) {
        greeting.append(el('div', { class: 'bubble' }, ...render({ kind: 'text', text: chat.config.greeting }, { words, own: false, onLoad: toEnd })))
        greeting.hidden = false
      }
      const lastOwn = all.findLastIndex((entry) => entry.own)
      let place: Element = greeting
      for (const [index, entry] of all.entries()) {
        const old = shown.get(entry.key)
        const fresh = old ?? make(entry)
        show(fresh, entry, isTail(entry, all[index + 1]), index < lastOwn)
        if (place.nextElementSibling !== fresh.node) place.after(fresh.node)
        if (!old && !entry.own) typing.hidden = true
        shown.set(entry.key, fresh)
        place = fresh.node
      }
      const keys = new Set(all.map((entry) => entry.key))
      for (const [key, { node }] of shown) if (!keys.has(key) && shown.delete(key)) node.remove()
      if (follow || all.at(-1)?.status === 'sending') toEnd()
    },
  }
}
