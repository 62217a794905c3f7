/** `patchbay train storyworld`: trains the embedded model from a seed, resumable, with curve and evaluation. */
import path from 'node:path'
import type { Command } from 'commander'
import { durationText } from '../../../preload/duration'
import { PatchbayError } from '../../../preload/errors'
import { storyworldSettings, type StoryworldSettings } from '../../../preload/storyworld'
import { Eta } from '../../jobs/eta'
import { trainStoryworld } from '../../training/storyworld/train'
import { directories } from '../directories'
import { progressLine } from '../progress'

interface TrainOptions {
  out: string
  resume?: boolean
  steps?: string
  rows?: string
  columns?: string
  seed?: string
  rate?: string
  checkpointEvery?: string
  evaluateEvery?: string
  questions?: string
}

export function addTrain(program: Command): void {
  const train = program.command('train').description('Train a model from scratch.')
  train
    .command('storyworld')
    .description('Train the embedded model on its synthetic world; Ctrl+C stops behind a checkpoint.')
    .requiredOption('-o, --out <folder>', 'for checkpoint, loss curve, accuracy and the model')
    .option('--resume', 'go on from the checkpoint in that folder')
    .option('--steps <n>', 'updates (4000)')
    .option('--rows <n>', 'rows of a batch (48)')
    .option('--columns <n>', 'predicted tokens of a row (128)')
    .option('--seed <n>', 'of weights and corpus (1)')
    .option('--rate <number>', 'peak learning rate (0.002)')
    .option('--checkpoint-every <n>', 'steps between checkpoints (100)')
    .option('--evaluate-every <n>', 'steps between evaluations (500)')
    .option('--questions <n>', 'questions of each family in an evaluation (300)')
    .action(async (options: TrainOptions) => {
      const settings = settingsOf(options)
      const out = path.resolve(options.out)
      const stops = interrupts()
      const eta = new Eta()
      const line = progressLine()
      const started = performance.now()
      let first: number | null = null
      try {
        const outcome = await trainStoryworld({
          source: path.join(directories().assetsDir, 'models', 'storyworld'),
          out,
          settings,
          resume: options.resume === true,
          signal: stops.cancel,
          pause: stops.pause,
          onStep: ({ step, loss }, curve) => {
            first ??= step
            const left = eta.update(step + 1, settings.steps)
            const time = left === null ? '' : `, ${durationText(left)} left`
            line.show(`step ${step + 1}, loss ${loss.toFixed(3)}${time}`, (step + 1) / settings.steps)
            if ((step + 1) % 100 !== 0 && step !== first) return
            line.clear()
            const seconds = (performance.now() - started) / 1000
            const tokens =
              ((step + 1 - first) * settings.rows * settings.columns * settings.accumulate) / seconds
            console.log(
              `step ${step + 1}  loss ${loss.toFixed(4)}  mean of the last 100 ${curve.recentLoss(100).toFixed(4)}  ${Math.round(tokens)} tokens/s${time}`,
            )
          },
          onEvaluation: ({ step, values }) => {
            line.clear()
            console.log(`accuracy behind ${step} steps`)
            for (const [family, value] of Object.entries(values))
              console.log(`  ${value.toFixed(3)}  ${family}`)
          },
        })
        line.clear()
        if (outcome.kind === 'paused')
          console.log(`Paused behind step ${outcome.step}; --resume goes on from there.`)
        else
          console.log(
            `Done: ${path.join(out, 'model')}, loss.csv, loss.json, loss.svg and accuracy.json beside it.`,
          )
      } finally {
        line.clear()
        stops.off()
      }
    })
}

function settingsOf(options: TrainOptions): StoryworldSettings {
  const number = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : Number(text)
  const parsed = storyworldSettings.safeParse({
    steps: number(options.steps),
    rows: number(options.rows),
    columns: number(options.columns),
    seed: number(options.seed),
    rate: number(options.rate),
    checkpointEvery: number(options.checkpointEvery),
    evaluateEvery: number(options.evaluateEvery),
    questions: number(options.questions),
  })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const field = issue.path.join('.')
  throw new PatchbayError('input.invalid', `--${field}: ${issue.message}.`, {
    field,
    next: '`patchbay train storyworld --help` says what it takes.',
  })
}

/** The first Ctrl+C pauses behind a checkpoint, the second stops at once. */
function interrupts(): { pause: AbortSignal; cancel: AbortSignal; off: () => void } {
  const pause = new AbortController()
  const cancel = new AbortController()
  const interrupt = (): void => {
    if (pause.signal.aborted) cancel.abort(new PatchbayError('run.cancelled', 'Stopped.'))
    else console.error('\nStopping behind a checkpoint; Ctrl+C again stops at once.')
    pause.abort()
  }
  process.on('SIGINT', interrupt)
  return { pause: pause.signal, cancel: cancel.signal, off: () => void process.off('SIGINT', interrupt) }
}
