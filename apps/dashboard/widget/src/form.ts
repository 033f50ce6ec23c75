import type { Field } from './chat.ts'
import { el } from './element.ts'
import type { Words } from './words.ts'

const FORMS = { email: /^[^\s@]{1,64}@[^\s@]{1,255}$/, phone: /^\+?[\d ()/.-]{4,32}$/, text: /./ }
const TYPES = { email: 'email', phone: 'tel', text: 'text' }
const FILLS: Record<string, string> = { email: 'email', phone: 'tel', name: 'name', company: 'organization' }

/** The questions before the chat. The first field that is not right says why and gets the focus. */
export function preChatForm(fields: Field[], words: Words, done: (answers: Record<string, string>) => void): HTMLFormElement {
  const parts = fields.map((field) => {
    const id = `f-${field.name}`
    const fault = el('p', { class: 'fault', id: `${id}-fault` })
    const input = el('input', { id, name: field.name, type: TYPES[field.type], maxlength: 512, autocomplete: FILLS[field.name] ?? FILLS[field.type] ?? 'off', required: field.required, 'aria-describedby': fault.id })
    return { field, input, fault, row: el('div', { class: 'field' }, el('label', { for: id }, field.label, field.required ? el('span', { 'aria-hidden': 'true', text: ' *' }) : null), input, fault) }
  })
  const check = ({ field, input, fault }: (typeof parts)[number]): boolean => {
    const value = input.value.trim()
    const wrong = value === '' ? (field.required ? words.required : '') : FORMS[field.type].test(value) ? '' : field.type === 'email' ? words.email : words.phone
    fault.textContent = wrong
    input.setAttribute('aria-invalid', String(wrong !== ''))
    return wrong === ''
  }
  const submit = (event: Event): void => {
    event.preventDefault()
    const wrong = parts.filter((part) => !check(part))
    if (wrong[0]) return wrong[0].input.focus()
    done(Object.fromEntries(parts.flatMap(({ field, input }) => (input.value.trim() ? [[field.name, input.value.trim()]] : []))))
  }
  return el('form', { class: 'questions', novalidate: true, on: { submit } }, ...parts.map((part) => part.row), el('button', { class: 'primary', type: 'submit', text: words.start }))
}
