// Loaded before an app (`--import`): SIGUSR2 ends the oldest thread that the process has, as a crash of its native code would.

const threads: { terminate(): Promise<number> }[] = []
process.on('worker', (thread) => {
  threads.push(thread)
  console.log(JSON.stringify({ began: 'a thread' }))
  thread.once('exit', () => void threads.splice(threads.indexOf(thread), 1))
})
process.on('SIGUSR2', () => {
  const oldest = threads[0]
  if (!oldest) return console.log(JSON.stringify({ ended: 'nothing' }))
  void oldest.terminate().then(() => console.log(JSON.stringify({ ended: 'a thread' })))
})
