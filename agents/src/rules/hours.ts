import type { OpeningHours } from '@trunkline/core'
import type { Language } from './phrases.ts'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
type Day = (typeof DAYS)[number]
/** Minutes of the week from Monday 00:00, local time. */
type Span = { from: number; to: number }
const DAY_MINUTES = 1_440
const WEEK_MINUTES = 7 * DAY_MINUTES

/** What is wrong with opening hours that their schema cannot see; null when nothing. */
export function openingFault(hours: OpeningHours): { path: string; message: string } | null {
  if (!isTimeZone(hours.timeZone)) return { path: '.timeZone', message: `${hours.timeZone} is not a time zone of the IANA list.` }
  for (const day of DAYS) {
    for (const [index, [from, to]] of (hours.days[day] ?? []).entries()) {
      if (!isTime(from) || !isTime(to)) return { path: `.days.${day}[${index}]`, message: 'Times are between 00:00 and 24:00.' }
      if (from === to) return { path: `.days.${day}[${index}]`, message: 'Opening and closing time are the same; for a whole day write 00:00 and 24:00.' }
    }
  }
  return null
}

function isTimeZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

const minutes = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))
const isTime = (time: string) => minutes(time) <= DAY_MINUTES && Number(time.slice(3)) < 60

/** A closing time before the opening time is on the next day (22:00-02:00). */
function spansOf(hours: OpeningHours): Span[] {
  return DAYS.flatMap((day, index) =>
    (hours.days[day] ?? []).map(([from, to]) => {
      const start = index * DAY_MINUTES + minutes(from)
      const end = index * DAY_MINUTES + minutes(to)
      return { from: start, to: end > start ? end : end + DAY_MINUTES }
    }),
  )
}

export type OpenState = { open: boolean; /** Next opening when closed; null: never, or open now. */ next: { day: Day; time: string } | null }

export function openState(hours: OpeningHours, nowMs: number): OpenState {
  const now = minuteOfWeek(hours.timeZone, nowMs)
  const spans = spansOf(hours)
  if (spans.some((span) => inSpan(span, now))) return { open: true, next: null }
  const waits = spans.map((span) => ({ span, wait: (span.from - now + WEEK_MINUTES) % WEEK_MINUTES })).sort((a, b) => a.wait - b.wait)
  const first = waits[0]?.span
  return { open: false, next: first ? { day: DAYS[Math.floor(first.from / DAY_MINUTES)]!, time: clockTime(first.from % DAY_MINUTES) } : null }
}

const inSpan = (span: Span, now: number) => (now >= span.from && now < span.to) || (now + WEEK_MINUTES >= span.from && now + WEEK_MINUTES < span.to)
const clockTime = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`

const DAY_BY_ENGLISH: Record<string, number> = { Mon: 0, Tue: 1, Wed: 2, Thu: 3, Fri: 4, Sat: 5, Sun: 6 }

/** Local wall clock by Intl, so that daylight saving is the platform's business. */
function minuteOfWeek(timeZone: string, nowMs: number): number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: isTimeZone(timeZone) ? timeZone : 'UTC', weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  const parts = Object.fromEntries(format.formatToParts(nowMs).map((part) => [part.type, part.value]))
  return DAY_BY_ENGLISH[parts.weekday!]! * DAY_MINUTES + Number(parts.hour) * 60 + Number(parts.minute)
}

/** 1 January 2024 was a Monday. */
const MONDAY_MS = Date.UTC(2024, 0, 1, 12)

export function dayName(day: Day, language: Language, style: 'long' | 'short' = 'long'): string {
  return new Intl.DateTimeFormat(language, { weekday: style, timeZone: 'UTC' }).format(MONDAY_MS + DAYS.indexOf(day) * 86_400_000)
}

/** "Mon-Fri 09:00-17:00" lines; neighbouring days with the same times share a line. */
export function describeHours(hours: OpeningHours, language: Language, closedWord: string): string {
  const rows = DAYS.map((day) => ({ day, times: (hours.days[day] ?? []).map(([from, to]) => `${from}–${to}`).join(', ') || closedWord }))
  const groups: { first: Day; last: Day; times: string }[] = []
  for (const row of rows) {
    const group = groups.at(-1)
    if (group?.times === row.times) group.last = row.day
    else groups.push({ first: row.day, last: row.day, times: row.times })
  }
  return groups.map(({ first, last, times }) => `${first === last ? dayName(first, language, 'short') : `${dayName(first, language, 'short')}–${dayName(last, language, 'short')}`} ${times}`).join('\n')
}
