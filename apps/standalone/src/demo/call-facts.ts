import { writeFileSync } from 'node:fs'
import { Ear, toPcm } from '@trunkline/app-sandbox'
import { z } from 'zod'
import { EMMA } from './shop.ts'
import { eventually, type Town } from './town.ts'

/** One telephone call as its owner reads it afterwards. */
export type CallFacts = {
  from: string
  to: string
  seconds: number
  reason: string
  summary: string | null
  said: Said[]
  turns: Turn[]
  cost: { part: string; credits: string }[]
  lead: Record<string, string>
  recording: { path: string; seconds: number }
  faults: string[]
}
/** `text`: of ours what was heard; `cut`: she did not hear more of it. */
export type Said = { by: 'customer' | 'agent'; text: string; startMs: number; cut: boolean }
/** Milliseconds of one answer, one after the other, from the end of her words to the first sound in her ear. */
export type Turn = { question: string; waitsMs: Record<Wait, number>; totalMs: number }
export const WAITS = ['endpoint', 'model', 'voice', 'send', 'play'] as const
export type Wait = (typeof WAITS)[number]

const Amount = z.object({ credits: z.string() })
const Call = z.object({
  id: z.string(), status: z.string(), reason: z.string().nullable(), duration_seconds: z.number().nullable(), from: z.string(), to: z.string(), summary: z.string().nullable(),
  cost: z.object({ carrier: Amount, stt: Amount, tts: Amount, model: Amount, total: Amount }).nullable(), recording: z.object({ state: z.string() }),
})
const Calls = z.object({ data: z.array(Call) })
const Transcript = z.object({ data: z.array(z.object({ by: z.enum(['customer', 'agent']), text: z.string(), start_ms: z.number(), interrupted: z.boolean() })) })
const Waits = z.object({ endpoint_ms: z.number(), model_ms: z.number(), voice_ms: z.number(), send_ms: z.number(), play_ms: z.number(), total_ms: z.number() })
const Events = z.object({ data: z.array(z.object({ turn: z.object({ speech_end_ms: z.number(), waits: Waits }) })) })
const Leads = z.object({ data: z.array(z.record(z.string(), z.unknown())) })

/** Reads the call of the demonstration through the public API, writes its recording to `path`, and checks what was promised. */
export async function readCall({ api, telephone }: Town, path: string): Promise<CallFacts> {
  const { calls, call } = await eventually('the call is over and its recording stored', async () => {
    const { data } = Calls.parse(await api.get(`/v1/calls?number_id=${telephone.id}`))
    return data[0]?.cost && data[0].recording.state === 'stored' ? { calls: data.length, call: data[0] } : null
  })
  const said = joined(Transcript.parse(await api.get(`/v1/calls/${call.id}/transcript`)).data)
  const turns = Events.parse(await api.get(`/v1/calls/${call.id}/events?kind=turn`)).data.map(({ turn }) => turnOf(turn, said))
  const wav = await api.download(`/v1/calls/${call.id}/recording`)
  writeFileSync(path, wav)
  const recording = listen(wav)
  const lead = await leadOf(api)
  const facts = {
    from: call.from, to: call.to, seconds: call.duration_seconds ?? 0, reason: call.reason ?? call.status, summary: call.summary, said, turns, lead,
    cost: Object.entries(call.cost!).map(([part, { credits }]) => ({ part, credits })), recording: { path, seconds: recording.seconds },
  }
  return { ...facts, faults: [...(calls === 1 ? [] : [`there are ${calls} calls, not one`]), ...faultsOf(facts, recording)] }
}

/** What she says in one breath may be several finals of the recogniser. */
function joined(rows: z.infer<typeof Transcript>['data']): Said[] {
  const said: Said[] = []
  for (const { by, text, start_ms: startMs, interrupted: cut } of rows.toSorted((a, b) => a.start_ms - b.start_ms)) {
    const before = said.at(-1)
    if (before?.by === by && !before.cut) before.text += ` ${text}`
    else said.push({ by, text, startMs, cut })
  }
  return said
}

function turnOf({ speech_end_ms: endMs, waits }: z.infer<typeof Events>['data'][number]['turn'], said: Said[]): Turn {
  const question = said.findLast(({ by, startMs }) => by === 'customer' && startMs <= endMs)?.text ?? ''
  return { question, totalMs: waits.total_ms, waitsMs: { endpoint: waits.endpoint_ms, model: waits.model_ms, voice: waits.voice_ms, send: waits.send_ms, play: waits.play_ms } }
}

async function leadOf(api: Town['api']): Promise<Record<string, string>> {
  const { data } = Leads.parse(await api.get('/v1/leads'))
  const lead = data.find(({ name }) => name === EMMA.name) ?? {}
  return Object.fromEntries(['name', 'phone', 'intent'].flatMap((field) => (typeof lead[field] === 'string' ? [[field, lead[field]]] : [])))
}

type Recording = { channels: number; seconds: number; caller: string; agent: string }

/** The WAV file as somebody with two ears hears it: the caller at the left, the agent at the right. */
function listen(wav: Buffer): Recording {
  const [channels, rateHz] = [wav.readUInt16LE(22), wav.readUInt32LE(24)]
  const samples = toPcm(wav.subarray(44), { encoding: 'l16le', sampleRateHz: rateHz })
  const words = (side: number): string => {
    const heard: string[] = []
    const ear = new Ear(rateHz, ({ text }) => heard.push(text ?? '?'))
    ear.push(samples.filter((_, index) => index % channels === side))
    ear.flush()
    return heard.join(' ')
  }
  return { channels, seconds: samples.length / channels / rateHz, caller: words(0), agent: words(1) }
}

function faultsOf({ said, turns, cost, lead, reason, seconds }: Omit<CallFacts, 'faults'>, recording: Recording): string[] {
  const cut = said.filter((each) => each.cut)
  const checks: [boolean, string][] = [
    [reason === 'caller_hung_up', `the call ended as ${reason}`],
    [cut.length === 1 && !cut[0]!.text.includes('name'), 'exactly one answer was to be cut off, and its end never heard'],
    [turns.length >= 4, `only ${turns.length} answers were measured`],
    [cost.every(({ credits }) => Number(credits) > 0), 'a part of the call cost nothing'],
    [lead['phone']?.replaceAll(/\D/g, '') === EMMA.phone.slice(1) && lead['intent'] !== undefined, 'the lead lacks her telephone number or what she wants'],
    [recording.channels === 2 && Math.abs(recording.seconds - seconds) < 2, `the recording has ${recording.channels} channels and ${recording.seconds.toFixed(1)} s of ${seconds} s`],
    [recording.caller.includes('Emma') && recording.agent.includes('Harbour Bikes'), 'the recording does not hold both voices'],
  ]
  return checks.flatMap(([holds, fault]) => (holds ? [] : [fault]))
}
