type Voice = { id: string; name: string; gender: string; accent: string; languages: string[] }

/** Ids look like ElevenLabs'; names say that they are ours. */
export const VOICES: readonly Voice[] = [
  { id: 'sbxRachel0000000001x', name: 'Sandbox Rachel', gender: 'female', accent: 'american', languages: ['en', 'de', 'es', 'fr'] },
  { id: 'sbxAdam000000000002x', name: 'Sandbox Adam', gender: 'male', accent: 'american', languages: ['en', 'de'] },
  { id: 'sbxNova000000000003x', name: 'Sandbox Nova', gender: 'neutral', accent: 'british', languages: ['en'] },
]

/** Every id of ElevenLabs' shape speaks; the list is what `GET /v1/voices` tells. */
export const isVoice = (id: string): boolean => /^[A-Za-z0-9]{20}$/.test(id) && !/invalid/i.test(id)

export const voiceJson = ({ id, name, gender, accent, languages }: Voice) => ({
  voice_id: id, name, samples: null, category: 'premade', fine_tuning: { is_allowed_to_fine_tune: false, state: {} },
  labels: { accent, gender, age: 'young', use_case: 'conversational', language: languages[0] },
  description: null, preview_url: null, available_for_tiers: [], settings: null, sharing: null, high_quality_base_model_ids: ['eleven_flash_v2_5'],
  verified_languages: languages.map((language) => ({ language, model_id: 'eleven_flash_v2_5', accent, locale: null, preview_url: null })), is_owner: false, is_legacy: false, is_mixed: false, created_at_unix: null,
})
