type Props = { class?: string; text?: string; on?: Record<string, (event: Event) => void>; [attribute: string]: unknown }
type Child = Node | string | null | undefined | false

/** An element. Text is always a text node; there is no way to give HTML. */
export function el<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (name === 'text') made.textContent = String(value)
    else if (name === 'on') for (const [event, listener] of Object.entries(props.on!)) made.addEventListener(event, listener)
    else if (value === true) made.setAttribute(name, '')
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value))
  }
  made.append(...children.filter((child): child is Node | string => typeof child === 'string' || child instanceof Node))
  return made
}

const SVG = 'http://www.w3.org/2000/svg'

/** A drawing of one stroke on a field of 24; the word beside it speaks. */
export function icon(path: string): SVGElement {
  const [svg, line] = [document.createElementNS(SVG, 'svg'), document.createElementNS(SVG, 'path')]
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  line.setAttribute('d', path)
  svg.append(line)
  return svg
}

export const ICONS = {
  chat: 'M21 11.5a8.4 8.4 0 0 1-8.5 8.5 8.9 8.9 0 0 1-3.8-.9L3 21l1.9-5.6A8.4 8.4 0 0 1 4 11.5 8.5 8.5 0 0 1 12.5 3 8.4 8.4 0 0 1 21 11.5Z',
  close: 'M6 6l12 12M18 6 6 18',
  down: 'm6 9 6 6 6-6',
  send: 'M4 12h15M13 6l6 6-6 6',
  clip: 'm20 11.5-8.4 8.4a5.3 5.3 0 0 1-7.5-7.5l8.4-8.4a3.5 3.5 0 0 1 5 5l-8.4 8.4a1.8 1.8 0 0 1-2.5-2.5l7.7-7.7',
  file: 'M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8Zm0 0v5h5',
}

/** Only addresses that open a page, a mail or a call. */
export const safeUrl = (url: unknown): string | null => (typeof url === 'string' && /^(https?:\/\/|mailto:|tel:)/i.test(url) && URL.canParse(url) ? url : null)

/** A link that leaves the page alone: its window cannot be reached from there. */
export function link(url: unknown, words: Props, ...children: Child[]): HTMLElement {
  const safe = safeUrl(url)
  return safe ? el('a', { href: safe, target: '_blank', rel: 'noopener noreferrer nofollow', ...words }, ...children) : el('span', words, ...children)
}
