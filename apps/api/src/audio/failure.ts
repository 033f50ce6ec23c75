import { AppError, type ErrorCode } from '@trunkline/core'
import { SoundFileError, SpeechError, type SpeechFailure } from '@trunkline/media'

const CODES: Record<SpeechFailure['code'], ErrorCode> = {
  credentials: 'upstream_rejected', bad_request: 'upstream_rejected', unsupported: 'upstream_rejected', rate_limited: 'unavailable',
  unavailable: 'upstream_failed', cut: 'upstream_failed', silent: 'upstream_failed', timeout: 'upstream_timeout', model_missing: 'invalid_state',
}
const WORDS: Record<SpeechFailure['code'], string> = {
  credentials: 'The supplier of speech refused the key: your own, if you have set one (`/v1/admin/vendor-keys`), else that of this installation.', bad_request: 'The supplier of speech refused the request.', unsupported: 'The supplier of speech cannot do this.',
  rate_limited: 'The supplier of speech has too much to do.', unavailable: 'The supplier of speech is down.', cut: 'The supplier of speech broke off.', silent: 'The supplier of speech said nothing.',
  timeout: 'The supplier of speech did not answer in time.', model_missing: 'The model of speech is not where this installation says it is.',
}

/** An engine's failure in the words of the API. A supplier's own prose may quote what was said, so it stays behind. */
export function speechError(failure: SpeechFailure, cause?: unknown): AppError {
  const { code, retryAfterMs } = failure
  return new AppError(CODES[code], { message: WORDS[code], cause, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
}

const FILE_CODES = { unreadable: 'invalid_request', unsupported: 'unsupported_media_type', no_audio: 'invalid_request', too_long: 'payload_too_large' } as const satisfies Record<SoundFileError['fault'], ErrorCode>
const ACCEPTED = 'Send wav (PCM, G.711), mp3, m4a or aac, ogg or webm with Opus, flac, or an mp4 that holds one of these.'

/** What is thrown on the way to an answer, as an AppError where it is one of speech. */
export function asAppError(error: unknown): unknown {
  if (error instanceof SpeechError) return speechError(error.failure, error)
  if (error instanceof SoundFileError) return new AppError(FILE_CODES[error.fault], { message: `This file cannot be heard: ${error.message}. ${ACCEPTED}`, param: 'body.file', cause: error })
  return error
}
