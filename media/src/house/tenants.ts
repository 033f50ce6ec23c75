import { AppError, SpeechKeyVendorId, type Clock, type Logger } from '@trunkline/core'
import type { SttEngine } from '../stt/contract.ts'
import type { TtsEngine } from '../tts/contract.ts'
import { VoiceCatalogue } from './catalogue.ts'
import type { OwnKey, OwnKeys, SpeechFor, SpeechHouseSettings, SttName, SttWish, TtsName, TtsWish, VoiceInfo } from './contract.ts'
import { brokenEars, brokenVoice, openOwn, printOf, type Own } from './own-engines.ts'
import { DEFAULT_ORDERS } from './settings.ts'
import { speechOf, type Engines } from './speech.ts'

/** What is told by nobody (a bell that was missed) is found out within this time. */
const COPY_MS = 20_000
const TENANTS_MAX = 5_000
/** What is being said with a key that was changed is said to its end; who is listened to with it for longer goes on with whoever stands in. */
const GRACE_MS = 30_000

export type TenantsDeps = { own: OwnKeys; settings: SpeechHouseSettings; house: Engines; houseSpeech: SpeechFor; clock: Clock; log: Logger }

/** Tenants with keys of their own at suppliers of speech: their engines, and the installation's where they have none. */
export class Tenants {
  readonly #deps: TenantsDeps
  readonly #tenants = new Map<string, Tenant>()

  constructor(deps: TenantsDeps) {
    this.#deps = deps
  }

  /** Rejects with AppError `unavailable` when the keys cannot be read: that a tenant pays twice for want of its key must not happen by accident. */
  async of(tenantId: string): Promise<SpeechFor> {
    const tenant = this.#tenants.get(tenantId) ?? new Tenant(tenantId, this.#deps)
    // Least recently used first.
    this.#tenants.delete(tenantId)
    this.#tenants.set(tenantId, tenant)
    if (this.#tenants.size > TENANTS_MAX) this.#drop()
    await tenant.fresh()
    return tenant.speech
  }

  changed(tenantId: string): void {
    this.#tenants.get(tenantId)?.changed()
  }

  close(): void {
    for (const tenant of this.#tenants.values()) tenant.close()
    this.#tenants.clear()
  }

  /** Those that talk go on with what they have, and look for its changes by themselves. */
  #drop(): void {
    this.#tenants.delete(this.#tenants.keys().next().value!)
  }
}

/** One tenant. Its engines stand for whatever key it has at the moment of use: who talks when a key changes goes on with the new one, or without. */
class Tenant {
  readonly #tenantId: string
  readonly #deps: TenantsDeps
  readonly #retiring = new Map<Own, () => void>()
  #owns: ReadonlyMap<SpeechKeyVendorId, Own> = new Map()
  #lookAgainAtMs = -Infinity
  #looking: Promise<void> | null = null
  #speech: SpeechFor

  constructor(tenantId: string, deps: TenantsDeps) {
    this.#tenantId = tenantId
    this.#deps = deps
    this.#speech = deps.houseSpeech
  }

  get speech(): SpeechFor {
    return this.#speech
  }

  own(vendor: string): Own | undefined {
    const known = SpeechKeyVendorId.safeParse(vendor)
    return known.success ? this.#owns.get(known.data) : undefined
  }

  async fresh(): Promise<void> {
    if (this.#deps.clock.nowMs() < this.#lookAgainAtMs) return
    try {
      await this.#look()
    } catch (error) {
      throw new AppError('unavailable', { message: 'The keys of this tenant cannot be read right now.', cause: error, retryAfterMs: 1_000 })
    }
  }

  /** In the background: whoever uses an engine does not wait. */
  glance(): void {
    if (this.#deps.clock.nowMs() < this.#lookAgainAtMs) return
    this.#look().catch((error: unknown) => this.#deps.log.warn({ error, tenantId: this.#tenantId }, 'the keys of a tenant could not be looked at again; going on with those that are known'))
  }

  changed(): void {
    this.#lookAgainAtMs = -Infinity
    // What is under way may have read the old ones.
    if (this.#looking) void this.#looking.catch(() => {}).then(() => (this.#lookAgainAtMs = -Infinity)).then(() => this.glance())
    else this.glance()
  }

  close(): void {
    for (const own of this.#owns.values()) own.close()
    for (const [own, cancel] of this.#retiring) {
      cancel()
      own.close()
    }
  }

  #look(): Promise<void> {
    this.#looking ??= this.#deps.own
      .keys(this.#tenantId)
      .then((keys) => this.#take(keys))
      .finally(() => (this.#looking = null))
    return this.#looking
  }

  #take(keys: readonly OwnKey[]): void {
    const { settings, own: { guarded }, clock } = this.#deps
    this.#lookAgainAtMs = clock.nowMs() + COPY_MS
    const before = this.#owns
    const isSame = before.size === keys.length && keys.every((key) => before.get(key.vendor)?.print === printOf(key))
    if (isSame) return
    this.#owns = new Map(keys.map((key) => {
      const known = before.get(key.vendor)
      return [key.vendor, known?.print === printOf(key) ? known : openOwn(this.#tenantId, key, settings, guarded)]
    }))
    for (const [vendor, own] of before) if (this.#owns.get(vendor) !== own) this.#retire(own)
    this.#speech = this.#owns.size === 0 ? this.#deps.houseSpeech : speechOf(enginesOf(this, [...this.#owns.values()], this.#deps))
  }

  #retire(own: Own): void {
    this.#retiring.set(own, this.#deps.clock.after(GRACE_MS, () => {
      this.#retiring.delete(own)
      own.close()
    }))
  }
}

/** The installation's engines, and the tenant's where it has a key. A supplier that the installation's order does not name comes after those that it names. */
function enginesOf(tenant: Tenant, owns: readonly Own[], { settings, house, clock, log }: TenantsDeps): Engines {
  const ears = (name: SttName, wish: SttWish): SttEngine | undefined => {
    const ours = house.ears(name, wish)
    return tenant.own(name)?.stt ? earsOf(tenant, name, wish, ours) : ours
  }
  const voice = (name: TtsName, wish: TtsWish): TtsEngine | undefined => {
    const ours = house.voice(name, wish)
    return tenant.own(name)?.tts ? voiceOf(tenant, name, wish, ours) : ours
  }
  const orderOf = <Name extends string>(kind: 'stt' | 'tts', named: readonly Name[], ours: readonly Name[]): Name[] => {
    const theirs = owns.filter((own) => own[kind]).map(({ vendor }) => vendor as string as Name)
    return [...new Set([...named, ...theirs])].filter((name) => ours.includes(name) || theirs.includes(name))
  }
  const orders = {
    stt: orderOf('stt', settings.sttOrder ?? DEFAULT_ORDERS.stt, house.orders.stt),
    tts: [...orderOf('tts', settings.ttsOrder ?? DEFAULT_ORDERS.tts, house.orders.tts).filter((name) => name !== 'espeak'), 'espeak' as const],
  }
  const speakers = new Map(orders.tts.flatMap((name): [TtsName, TtsEngine][] => (tenant.own(name)?.tts ? [[name, voice(name, {})!]] : [])))
  const theirs = new VoiceCatalogue(speakers, { clock, log })
  const catalogueOf = (name: TtsName) => (speakers.has(name) ? theirs : house.catalogue)
  const all = async (): Promise<VoiceInfo[]> => {
    const [own, ours] = await Promise.all([theirs.all(), house.catalogue.all()])
    return orders.tts.flatMap((name) => (speakers.has(name) ? own : ours).filter(({ engine }) => engine === name))
  }
  return { ...house, orders, ears, voice, catalogue: { known: (name) => catalogueOf(name).known(name), of: (name) => catalogueOf(name).of(name), all } }
}

/** Whatever the tenant has of this supplier now: its own key, else the installation's, else nobody. */
function current<Engine>(tenant: Tenant, make: (own: Own) => Engine | undefined, vendor: string, otherwise: () => Engine): () => Engine {
  let built: { own: Own; engine: Engine } | null = null
  return () => {
    tenant.glance()
    const own = tenant.own(vendor)
    if (!own) return otherwise()
    if (built?.own !== own) {
      const engine = make(own)
      if (!engine) return otherwise()
      built = { own, engine }
    }
    return built.engine
  }
}

function earsOf(tenant: Tenant, name: SttName, wish: SttWish, ours: SttEngine | undefined): SttEngine {
  const gone = ours ?? brokenEars(name)
  const now = current(tenant, (own) => own.stt?.(wish), name, () => gone)
  return {
    id: name,
    get model() { return now().model },
    get finalP99Ms() { return now().finalP99Ms },
    get account() { return now().account },
    open: (options) => now().open(options),
    transcribe: (pcm, options) => now().transcribe(pcm, options),
  }
}

function voiceOf(tenant: Tenant, name: TtsName, wish: TtsWish, ours: TtsEngine | undefined): TtsEngine {
  const gone = ours ?? brokenVoice(name)
  const now = current(tenant, (own) => own.tts?.(wish), name, () => gone)
  return {
    id: name,
    get model() { return now().model },
    get account() { return now().account },
    voices: (signal) => now().voices(signal),
    speak: (options) => now().speak(options),
  }
}
