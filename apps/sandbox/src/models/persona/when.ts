const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday']
const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december']
const ISO = /\b(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::\d{2})?)?\s?(Z|[+-]\d{2}:\d{2})?/
const CLOCK = /\b(?:at\s+|@\s?|around\s+|by\s+)?(\d{1,2})(?:[:.](\d{2}))?\s?(a\.?m\b\.?|p\.?m\b\.?|o'clock|h\b|uhr)|\b(?:at|around|by)\s+(\d{1,2})(?:[:.](\d{2}))?\b|\b(\d{1,2}):(\d{2})\b|\b(noon|midday)\b/i

/**
 * The first time that the text agrees on, as ISO 8601 with zone; undefined when day or clock is missing.
 * Times are taken as the time of `now`'s zone offset 0 (the text seldom names a zone).
 */
export function findTime(text: string, now: Date): string | undefined {
  const iso = ISO.exec(text)
  if (iso?.[2]) return `${iso[1]}T${iso[2]}:00${iso[3] ?? 'Z'}`
  const day = iso ? new Date(`${iso[1]}T00:00:00Z`) : findDay(text.toLowerCase(), now)
  const clock = findClock(iso ? text.replace(iso[0], ' ') : text)
  if (!day || !clock) return undefined
  day.setUTCHours(clock.hours, clock.minutes, 0, 0)
  return day.toISOString().replace('.000Z', 'Z')
}

function findDay(text: string, now: Date): Date | undefined {
  if (/\bday after tomorrow\b/.test(text)) return daysAfter(now, 2)
  if (/\btomorrow\b/.test(text)) return daysAfter(now, 1)
  if (/\b(?:today|this (?:afternoon|evening|morning)|tonight)\b/.test(text)) return daysAfter(now, 0)
  return findDate(text, now) ?? findWeekday(text, now)
}

/** The next such weekday; `next` skips this week's when it is fewer than two days away. */
function findWeekday(text: string, now: Date): Date | undefined {
  const match = new RegExp(`\\b(next\\s+)?(${DAYS.join('|')})\\b`).exec(text)
  if (!match) return undefined
  const ahead = (DAYS.indexOf(match[2]!) - now.getUTCDay() + 7) % 7 || 7
  return daysAfter(now, match[1] && ahead < 2 ? ahead + 7 : ahead)
}

function findDate(text: string, now: Date): Date | undefined {
  const months = MONTHS.map((month) => `${month}|${month.slice(0, 3)}`).join('|')
  const match = new RegExp(`\\b(\\d{1,2})(?:st|nd|rd|th|\\.)?\\s+(?:of\\s+)?(${months})\\b|\\b(${months})\\.?\\s+(\\d{1,2})(?:st|nd|rd|th)?\\b`).exec(text)
  if (!match) return undefined
  const month = MONTHS.findIndex((name) => name.startsWith((match[2] ?? match[3])!.slice(0, 3)))
  const date = new Date(Date.UTC(now.getUTCFullYear(), month, Number(match[1] ?? match[4])))
  if (date.getTime() < now.getTime() - 86_400_000) date.setUTCFullYear(date.getUTCFullYear() + 1)
  return date
}

function findClock(text: string): { hours: number; minutes: number } | undefined {
  const match = CLOCK.exec(text)
  if (!match) return undefined
  if (match[8]) return { hours: 12, minutes: 0 }
  const half = match[3]?.toLowerCase() ?? ''
  let hours = Number(match[1] ?? match[4] ?? match[6])
  const minutes = Number(match[2] ?? match[5] ?? match[7] ?? 0)
  if (half.startsWith('p') && hours < 12) hours += 12
  if (half.startsWith('a') && hours === 12) hours = 0
  // Nobody wants a demo at three in the night: "at 3" is the afternoon.
  if (!half && match[4] !== undefined && hours >= 1 && hours <= 7) hours += 12
  return hours < 24 && minutes < 60 ? { hours, minutes } : undefined
}

function daysAfter(now: Date, days: number): Date {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + days))
}
