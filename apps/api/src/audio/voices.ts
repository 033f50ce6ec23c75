import { TtsEngineId } from '@trunkline/core'
import type { VoiceInfo } from '@trunkline/media'
import { z } from 'zod'
import type { ApiApp } from '../deps.ts'
import { decodeCursor, encodeCursor, pageOf, PageQuery } from '../wire.ts'
import type { AudioDeps } from './deps.ts'

const VoiceView = z
  .object({
    engine: TtsEngineId,
    id: z.string(),
    name: z.string(),
    languages: z.array(z.string()).meta({ description: '`mul`: whatever the text is in' }),
    gender: z.enum(['female', 'male', 'neutral']).nullable(),
    speed: z.object({ min: z.number(), max: z.number() }).meta({ description: 'What the engine does of what may be asked; beyond it, it speaks at its limit' }),
  })
  .meta({ id: 'Voice', examples: [{ engine: 'espeak', id: 'en-gb', name: 'English (Great Britain)', languages: ['en-GB'], gender: null, speed: { min: 0.5, max: 2 } }] })

const Query = PageQuery.extend({
  limit: z.coerce.number().int().min(1).max(1_000).default(100).meta({ description: 'Voices in a page', examples: [100] }),
  language: z.string().min(2).max(35).optional().meta({ description: 'A language tag: `de` also finds `de-AT`, and voices of all languages', examples: ['de'] }),
  engine: TtsEngineId.optional(),
})

export function registerVoices(app: ApiApp, { speech }: AudioDeps): void {
  const description = "Of every engine that is set up in this installation, in its order, and of suppliers at which you have a key of your own: then they are your account's. Also good for a number's `settings.voice.tts`. An engine that does not answer at the moment is left out."
  app.get('/v1/tts/voices', { config: { access: { scope: 'audio:read' } }, schema: { tags: ['audio'], summary: 'List voices', operationId: 'list_voices', description, querystring: Query, response: { 200: pageOf(VoiceView) } } }, async ({ auth, query }) => {
    const [after] = decodeCursor(query.cursor, z.tuple([z.string()])) ?? []
    const voices = unique(await (await speech.forTenant(auth.tenantId)).voices()).filter((voice) => (query.engine === undefined || voice.engine === query.engine) && (query.language === undefined || speaks(voice, query.language)))
    // A voice that the page ended with and that is gone since: the list begins anew.
    const from = after === undefined ? 0 : voices.findIndex((voice) => keyOf(voice) === after) + 1
    const page = voices.slice(from, from + query.limit)
    const more = from + page.length < voices.length
    return { data: page.map(({ language, ...voice }) => ({ ...voice, languages: [language] })), has_more: more, next_cursor: more ? encodeCursor(keyOf(page.at(-1)!)) : null }
  })
}

const keyOf = ({ engine, id }: VoiceInfo): string => `${engine}:${id}`
/** espeak tells some languages twice, by two names. */
const unique = (voices: readonly VoiceInfo[]): VoiceInfo[] => [...new Map(voices.map((voice) => [keyOf(voice), voice])).values()]

function speaks({ language }: VoiceInfo, wanted: string): boolean {
  const [has, asked] = [language.toLowerCase(), wanted.toLowerCase()]
  return has === 'mul' || has === asked || has.startsWith(`${asked}-`)
}
