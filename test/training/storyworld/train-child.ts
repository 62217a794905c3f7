/**
 * Trains a model like the embedded one in a process of its own: SOURCE OUT STEPS [WAIT_BEHIND]. Says each step on stdout; behind step
 * WAIT_BEHIND it says no more and waits to be killed, as in the middle of the step that follows.
 */
import { trainStoryworld } from '../../../main/training/storyworld/train'
import { storyworldSettings } from '../../../preload/storyworld'

const [source, out, steps, waitBehind] = process.argv.slice(2)
const settings = storyworldSettings.parse({
  steps: Number(steps),
  rows: 4,
  columns: 24,
  warmUp: 20,
  accumulate: 2,
  checkpointEvery: 25,
  evaluateEvery: 100,
  questions: 3,
})

await trainStoryworld({
  source,
  out,
  settings,
  resume: true,
  onStep: ({ step }) => {
    process.stdout.write(`step ${step}\n`)
    // A blocked thread writes no checkpoint and ends no step.
    if (step === Number(waitBehind)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  },
})
