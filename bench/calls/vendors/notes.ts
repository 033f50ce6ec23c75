/** What a supplier saw of a turn, by its key; times of `sharedMs`. Only the first of a kind counts. */
export type NoteKind = 'heard' | 'words' | 'final' | 'asked' | 'token' | 'piece' | 'speak' | 'sound'
export type Note = (kind: NoteKind, key: string, atMs: number) => void
export type Notes = Map<string, Partial<Record<NoteKind, number>>>

export function createNotes(): { note: Note; take(): Notes } {
  let notes: Notes = new Map()
  return {
    note(kind, key, atMs) {
      const known = notes.get(key) ?? {}
      known[kind] ??= atMs
      notes.set(key, known)
    },
    take() {
      const taken = notes
      notes = new Map()
      return taken
    },
  }
}
