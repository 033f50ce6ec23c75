/** Computes Smart Turn: some ten to a hundred milliseconds of a core for each pause of a caller. */
import { Tensor } from 'onnxruntime-node'
import type { Pcm } from '../../frame.ts'
import { serveJobs } from '../../onnx/serve.ts'
import { openModel, OpenOnce, type OpenedModel } from '../../onnx/session.ts'
import { createResampler } from '../../resample/resampler.ts'
import { WHISPER_RATE_HZ } from '../../stt/whisper/mel.ts'
import { speechError } from '../../tts/failure.ts'
import { SMART_BANDS, SMART_FRAMES, smartFeatures } from './features.ts'
import type { SmartTurnJobs, SmartTurnRate } from './protocol.ts'

const INPUT = 'input_features'
const models = new OpenOnce<OpenedModel>()
const open = (model: string): Promise<OpenedModel> => models.get(model, async () => {
  const opened = await openModel(model, 'cpu', 1)
  if (!opened.session.inputNames.includes(INPUT)) throw speechError('unsupported', `smart turn: ${model} has no input ${INPUT}`)
  // The first run is the slowest one, and shows whether the shapes fit.
  await judge(opened, new Int16Array(WHISPER_RATE_HZ))
  return opened
})

serveJobs<SmartTurnJobs>('smart turn', {
  async load({ model }) {
    await open(model)
    return { answer: null }
  },
  async judge({ model, pcm, rateHz }, check) {
    const opened = await open(model)
    check()
    return { answer: await judge(opened, wide(pcm, rateHz)) }
  },
})

/** Version 3's only output is named logits, and is a probability all the same: the sigmoid is part of the graph. */
async function judge({ session }: OpenedModel, pcm: Pcm): Promise<number> {
  const results = await session.run({ [INPUT]: new Tensor('float32', smartFeatures(pcm), [1, SMART_BANDS, SMART_FRAMES]) })
  const { data } = results[session.outputNames[0]!]!
  const probability = Number(data[0])
  if (data.length !== 1 || !(probability >= 0 && probability <= 1)) throw speechError('unsupported', 'smart turn: the model answers no probability')
  return probability
}

function wide(pcm: Pcm, rateHz: SmartTurnRate): Pcm {
  if (rateHz === WHISPER_RATE_HZ) return pcm
  const resampler = createResampler({ fromHz: rateHz, toHz: WHISPER_RATE_HZ, aligned: true })
  const [first, last] = [resampler.process(pcm), resampler.flush()]
  resampler.close()
  const all = new Int16Array(first.length + last.length)
  all.set(first)
  all.set(last, first.length)
  return all
}
