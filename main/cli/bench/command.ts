/** `patchbay bench`: what this machine does with a model, task by task, each beside its floor measured in the same run. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { PatchbayError } from '../../../preload/errors'
import { WholeModel } from '../../runtime'
import { bytes, withModelOptions } from '../commands/model-option'
import { withModel, type ModelOptions } from '../session'
import { attribution, measuredPasses, measurePeak, type MeasuredPass } from './attribution'
import { extract, extractions, measureExtraction, type Extraction } from './extract'
import { measureOurs } from './measure-child'
import { patchHeads, patchResid } from './patching'
import { importing, precision } from './precision'
import { startFloor, startOurs } from './startup-child'
import { startup } from './startup'
import { store } from './store'
import { training } from './train'
import { tasks as plainTasks, type BenchContext, type TaskResult } from './tasks'

interface BenchOptions extends ModelOptions {
  tasks: string[]
  runs: number
  json?: boolean
  childTokens?: string
  childGraph?: string
  childWeights?: string
  childFeeds?: string
  childMeasure?: boolean
  childPeak?: MeasuredPass
  childExtract?: Extraction
  storeSize: number
  storeEntries: number
}

const tasks = { ...plainTasks, patch_resid: patchResid, patch_heads: patchHeads } as const

/** Tasks that start processes of their own. */
const restarting = { startup, attribution, import: importing, precision, extract } as const
const usualTasks = ['startup', ...Object.keys(plainTasks)]
const taskNames = [
  ...usualTasks,
  'patch_resid',
  'patch_heads',
  'attribution',
  'import',
  'precision',
  'train',
  'extract',
  'store',
]

export function addBench(program: Command): void {
  withModelOptions(program.command('bench'))
    .description('Time start-up, import, forward, capture, generation and precisions, each beside its floor.')
    .addOption(new Option('--tasks <names...>', 'which tasks').choices(taskNames).default(usualTasks))
    .option('--runs <n>', 'timed runs of each', runCount, 9)
    .option('--store-size <size>', 'store: how large a store to read from', bytes, 5e9)
    .option(
      '--store-entries <n>',
      'store: how many entries the store has that is opened',
      runCount,
      1_000_000,
    )
    .option('--json', 'one JSON line a task')
    .addOption(new Option('--child-tokens <ids>').hideHelp())
    .addOption(new Option('--child-graph <file>').hideHelp())
    .addOption(new Option('--child-weights <folder>').hideHelp())
    .addOption(new Option('--child-feeds <file>').hideHelp())
    .addOption(new Option('--child-measure').hideHelp())
    .addOption(new Option('--child-peak <pass>').choices(measuredPasses).hideHelp())
    .addOption(new Option('--child-extract <what>').choices(extractions).hideHelp())
    .action(async (options: BenchOptions) => {
      const { childTokens, childGraph, childWeights, childFeeds, childPeak } = options
      if (childPeak !== undefined) return measurePeak(options, childPeak)
      if (options.childExtract !== undefined) return measureExtraction(options, options.childExtract)
      if (options.childMeasure === true) return measureOurs(options)
      if (childTokens !== undefined) return startOurs(options, childTokens.split(',').map(Number))
      if (childGraph !== undefined && childWeights !== undefined && childFeeds !== undefined)
        return startFloor(childGraph, childWeights, childFeeds)
      const { storeSize, storeEntries } = options
      // These two need no model, or their own.
      if (options.tasks.includes('store'))
        print(await store({ bytes: storeSize, entries: storeEntries }), options)
      if (options.tasks.includes('train')) print(await training(options.runs), options)
      const others = options.tasks.filter((name) => name !== 'store' && name !== 'train')
      if (others.length > 0) await bench({ ...options, tasks: others })
    })
}

async function bench(options: BenchOptions): Promise<void> {
  await withModel(options, async (engine, { handle }, signal) => {
    const model = await engine.models.get(handle)
    const { stack, weights, lowering, provider } = model.own
    const floor = await WholeModel.create(stack.spec, weights, provider, lowering)
    const context: BenchContext = { model, floor, runs: options.runs }
    try {
      for (const name of options.tasks) {
        signal.throwIfAborted()
        const result = await runTask(name, context, options)
        print(result, options)
      }
    } finally {
      await floor.release()
    }
  })
}

function print(result: TaskResult, { json }: BenchOptions): void {
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20)
  const line = { ...result, detail: { ...result.detail, rss_mb: memory } }
  console.log(json === true ? JSON.stringify(line) : text(line))
}

function runTask(name: string, context: BenchContext, options: BenchOptions): Promise<TaskResult> {
  if (isNamed(restarting, name)) {
    const restart = { script: process.argv[1], modelName: options.model, provider: options.provider }
    return restarting[name]({ ...context, runs: Math.min(5, context.runs) }, restart)
  }
  if (isNamed(tasks, name)) return tasks[name](context)
  throw new PatchbayError('input.invalid', `There is no task ${name}.`, {
    next: `Choose from ${taskNames.join(', ')}.`,
  })
}

const isNamed = <T extends object>(table: T, name: string): name is Extract<keyof T, string> =>
  Object.hasOwn(table, name)

function text({ task, median_s, min_s, runs, detail }: TaskResult): string {
  const figures = Object.entries(detail).map(([name, value]) => {
    const shown = typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(3) : String(value)
    return `${name} ${shown}`
  })
  return `${task.padEnd(9)} ${median_s.toFixed(4)} s median, ${min_s.toFixed(4)} s best of ${runs}  (${figures.join(', ')})`
}

function runCount(value: string): number {
  const count = Number(value)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('Give a whole number above 0.')
  return count
}
