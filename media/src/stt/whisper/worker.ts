/** Computes Whisper in a thread of its own: a sentence takes a core for long. */
import { serveJobs } from '../../onnx/serve.ts'
import { OpenOnce } from '../../onnx/session.ts'
import { hear } from './hear.ts'
import { WhisperModel } from './model.ts'
import type { ModelChoice, WhisperJobs } from './protocol.ts'

const models = new OpenOnce<WhisperModel>()
const open = (choice: ModelChoice): Promise<WhisperModel> => models.get(JSON.stringify(choice), () => WhisperModel.open(choice.path, choice.device, choice.precision))

serveJobs<WhisperJobs>('whisper', {
  load: async (choice) => ({ answer: (await open(choice)).device }),
  hear: async ({ model, pcm, language }, check) => ({ answer: await hear(await open(model), pcm, language, check) }),
})
