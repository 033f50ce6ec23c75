/**
 * What is said in the calls of a bench. A key (`K17Q3`: call 17, question 3) goes through all of it, so that what the suppliers saw can be put
 * together with what the line saw.
 */
export const keyOf = (call: number, question: number): string => `K${call}Q${question}`

export const KEY = /K\d+Q\d+/g

/** As long as a receptionist's answer is: a good hundred characters, six to seven seconds of speech. */
export const answerTo = (key: string): string => `${key}, we open at nine in the morning, and on Saturdays we close at two. Is there anything else that I can do for you?`

export const questionOf = (key: string): string => `Please tell me now about ${key}.`

export const GREETING = 'Harbour Bikes, good morning. What can I do for you?'

/** The suppliers' pace, as it is heard in the field: a first token after a quarter of a second, tokens every 20 ms, sound faster than it is played. */
export const PACE = {
  /** From a `Finalize` (or Deepgram's own silence) to the final. */
  finalMs: 100,
  /** From the first loud frame to the first words, and from words to words. */
  partialMs: 250,
  endpointingMs: 300,
  firstTokenMs: 250,
  tokenMs: 20,
  tokenChars: 4,
  firstSoundMs: 100,
  soundMsPerChar: 60,
  /** Each portion of sound, and the time between two. */
  portionMs: 400,
  portionEveryMs: 20,
}
